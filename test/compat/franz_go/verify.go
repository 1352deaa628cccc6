package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// seen is what one read of a partition found: who wrote each offset, in order.
type seen struct {
	producer uint32
	seq      uint64
	crc      uint32
}

type ack struct {
	producer uint32
	seq      uint64
	offset   int64
}

type prefix struct {
	Count  int64
	Digest uint64
}

// checker holds the findings; judge is apart from any broker, so that its rules can be tested.
type checker struct {
	problems []string
	count    int
}

func (c *checker) problem(format string, args ...any) {
	c.count++
	if len(c.problems) < 20 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// judge compares one partition's records (offset 0 onward) with what was acknowledged and with an earlier read.
func (c *checker) judge(name string, records []seen, acks []ack, before prefix) prefix {
	for _, a := range acks {
		if a.offset < 0 || a.offset >= int64(len(records)) {
			c.problem("%s: LOST offset %d (producer %d seq %d) was acknowledged, the log ends at %d", name, a.offset, a.producer, a.seq, len(records))
			continue
		}
		if r := records[a.offset]; r.producer != a.producer || r.seq != a.seq {
			c.problem("%s: LOST offset %d was acknowledged as producer %d seq %d, it holds producer %d seq %d", name, a.offset, a.producer, a.seq, r.producer, r.seq)
		}
	}
	next := map[uint32]uint64{}
	for offset, r := range records {
		switch want := next[r.producer]; {
		case r.seq == want:
			next[r.producer]++
		case r.seq < want:
			c.problem("%s: DUPLICATE or REORDERED producer %d seq %d at offset %d, seq %d was expected", name, r.producer, r.seq, offset, want)
		default:
			c.problem("%s: GAP producer %d seq %d at offset %d, seq %d was expected", name, r.producer, r.seq, offset, want)
			next[r.producer] = r.seq + 1
		}
	}
	if int64(len(records)) < before.Count {
		c.problem("%s: SHRUNK %d records were read before the restart, now %d", name, before.Count, len(records))
	}
	h := fnv.New64a()
	var b [16]byte
	for i, r := range records {
		if int64(i) == before.Count && before.Count > 0 && h.Sum64() != before.Digest {
			c.problem("%s: CHANGED the first %d records are not those read before", name, before.Count)
		}
		binary.BigEndian.PutUint32(b[:], r.producer)
		binary.BigEndian.PutUint64(b[4:], r.seq)
		binary.BigEndian.PutUint32(b[12:], r.crc)
		h.Write(b[:])
	}
	if int64(len(records)) == before.Count && before.Count > 0 && h.Sum64() != before.Digest {
		c.problem("%s: CHANGED the %d records are not those read before", name, before.Count)
	}
	return prefix{int64(len(records)), h.Sum64()}
}

// verify reads every partition from its start to its end and judges it by all journals of the data folder.
func verify(args []string) error {
	fs := flag.NewFlagSet("verify", flag.ExitOnError)
	spec := fs.String("topics", "k1:1,k6:6,k40:40", "topics and their partitions")
	journals := fs.String("journals", "", "folder of the journals of all rounds on this data folder")
	state := fs.String("state", "", "file that keeps what this read found for the next one")
	fs.Parse(args)
	_, places, err := parseTopics(*spec)
	if err != nil {
		return err
	}
	c := &checker{}
	acks := map[place][]ack{}
	nacks := 0
	files, err := filepath.Glob(filepath.Join(*journals, "*.journal"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no journals in %s", *journals)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		in := bufio.NewScanner(f)
		in.Buffer(make([]byte, 1<<20), 1<<20)
		for in.Scan() {
			w := strings.SplitN(in.Text(), " ", 6)
			if w[0] == "e" {
				c.problem("PRODUCER %s", in.Text()[2:])
				continue
			}
			p, _ := strconv.Atoi(w[2])
			id, _ := strconv.Atoi(w[3])
			seq, _ := strconv.ParseUint(w[4], 10, 64)
			off, err := strconv.ParseInt(w[5], 10, 64)
			if err != nil {
				return fmt.Errorf("%s: %q", file, in.Text())
			}
			pl := place{w[1], int32(p)}
			acks[pl] = append(acks[pl], ack{uint32(id), seq, off})
			nacks++
		}
		f.Close()
	}
	records, err := readAll(c, places)
	if err != nil {
		return err
	}
	before := map[string]prefix{}
	if b, err := os.ReadFile(*state); err == nil {
		if err := json.Unmarshal(b, &before); err != nil {
			return err
		}
	}
	after := map[string]prefix{}
	total := 0
	for _, pl := range places {
		name := fmt.Sprintf("%s[%d]", pl.topic, pl.partition)
		after[name] = c.judge(name, records[pl], acks[pl], before[name])
		total += len(records[pl])
	}
	if *state != "" {
		b, _ := json.Marshal(after)
		if err := os.WriteFile(*state, b, 0o644); err != nil {
			return err
		}
	}
	out, _ := json.Marshal(map[string]any{"records": total, "acknowledged": nacks, "problems": c.count, "first": c.problems})
	fmt.Println(string(out))
	if c.count > 0 {
		os.Exit(1)
	}
	return nil
}

func readAll(c *checker, places []place) (map[place][]seen, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	from := map[string]map[int32]kgo.Offset{}
	var names []string
	for _, pl := range places {
		if from[pl.topic] == nil {
			from[pl.topic] = map[int32]kgo.Offset{}
			names = append(names, pl.topic)
		}
		from[pl.topic][pl.partition] = kgo.NewOffset().At(0)
	}
	cl := client(kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(200*time.Millisecond))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	left := 0
	records := map[place][]seen{}
	for _, pl := range places {
		end, ok := ends.Lookup(pl.topic, pl.partition)
		if !ok || end.Err != nil {
			return nil, fmt.Errorf("no end offset of %v: %v", pl, end.Err)
		}
		left += int(end.Offset)
	}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				return nil, fmt.Errorf("%d records could not be read in time", left)
			}
			return nil, fmt.Errorf("%s[%d]: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			pl := place{r.Topic, r.Partition}
			if r.Offset != int64(len(records[pl])) {
				c.problem("%s[%d]: OFFSETS %d follows %d", r.Topic, r.Partition, r.Offset, len(records[pl])-1)
			}
			producer, seq, crc, err := parseLoadValue(r.Value)
			if err != nil {
				c.problem("%s[%d]: DAMAGED offset %d: %v", r.Topic, r.Partition, r.Offset, err)
			}
			records[pl] = append(records[pl], seen{producer, seq, crc})
			left--
		})
	}
	return records, nil
}
