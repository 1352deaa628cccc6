package main

import (
	"strings"
	"testing"
)

// The checker has to find each kind of fault; a checker that finds none proves nothing.
func TestJudge(t *testing.T) {
	good := []seen{{1, 0, 10}, {2, 0, 20}, {1, 1, 11}, {1, 2, 12}}
	acks := []ack{{1, 0, 0}, {2, 0, 1}, {1, 2, 3}}
	var clean checker
	state := clean.judge("t", good, acks, prefix{})
	if clean.count != 0 || state.Count != 4 {
		t.Fatalf("a good log: %v", clean.problems)
	}
	cases := []struct {
		name    string
		records []seen
		acks    []ack
		before  prefix
		want    string
	}{
		{"an acknowledged record past the end", good[:3], acks, prefix{}, "LOST"},
		{"another record at an acknowledged offset", []seen{{1, 0, 10}, {1, 1, 11}, {2, 0, 20}, {1, 2, 12}}, acks, prefix{}, "LOST"},
		{"the same record twice", append(append([]seen{}, good...), seen{1, 2, 12}), acks, prefix{}, "DUPLICATE"},
		{"two records swapped", []seen{{1, 1, 11}, {1, 0, 10}}, nil, prefix{}, "REORDERED"},
		{"a record left out", []seen{{1, 0, 10}, {1, 2, 12}}, nil, prefix{}, "GAP"},
		{"fewer than before", good[:2], nil, state, "SHRUNK"},
		{"other bytes than before", []seen{{1, 0, 10}, {2, 0, 20}, {1, 1, 99}, {1, 2, 12}}, acks, state, "CHANGED"},
		{"other bytes than before, and more", []seen{{1, 0, 9}, {2, 0, 20}, {1, 1, 11}, {1, 2, 12}, {1, 3, 13}}, acks, state, "CHANGED"},
	}
	for _, c := range cases {
		var ch checker
		ch.judge("t", c.records, c.acks, c.before)
		if ch.count == 0 || !strings.Contains(strings.Join(ch.problems, "\n"), c.want) {
			t.Errorf("%s: want %s, got %v", c.name, c.want, ch.problems)
		}
	}
	var again checker
	if again.judge("t", good, acks, state); again.count != 0 {
		t.Errorf("the same log again: %v", again.problems)
	}
}

func TestLoadValue(t *testing.T) {
	v := loadValue(7, 1<<40, []byte("payload"))
	if p, s, _, err := parseLoadValue(v); err != nil || p != 7 || s != 1<<40 {
		t.Fatal(p, s, err)
	}
	for i := range v {
		v[i] ^= 1
		if _, _, _, err := parseLoadValue(v); err == nil {
			t.Fatalf("a flipped bit in byte %d was not found", i)
		}
		v[i] ^= 1
	}
}
