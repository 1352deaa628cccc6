package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// members leads Readers in groups by the lines of test/compat/groups/host.ts. A Reader does not say what it owns.
func members(ctx context.Context) error {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	leaving := map[string]context.CancelFunc{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		switch words[0] {
		case "join":
			options := map[string]string{}
			for _, pair := range words[2:] {
				k, v, _ := strings.Cut(pair, "=")
				options[k] = v
			}
			mctx, cancel := context.WithCancel(ctx)
			leaving[words[1]] = cancel
			go func() {
				if err := member(mctx, words[1], options, say); err != nil {
					say("failed %s %v", words[1], err)
				}
				say("left %s", words[1])
			}()
		case "leave":
			leaving[words[1]]()
		default:
			return fmt.Errorf("verb %q", words[0])
		}
	}
	return in.Err()
}

func member(ctx context.Context, name string, options map[string]string, say func(string, ...any)) error {
	millis := func(text string) time.Duration {
		n, err := strconv.Atoi(text)
		if err != nil {
			fail(err)
		}
		return time.Duration(n) * time.Millisecond
	}
	balancer := kafka.GroupBalancer(kafka.RangeGroupBalancer{})
	if options["assignor"] == "roundrobin" {
		balancer = kafka.RoundRobinGroupBalancer{}
	}
	interval := 200 * time.Millisecond
	if options["commit"] == "manual" {
		interval = 0 // each CommitMessages waits for its answer
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{addr}, GroupID: options["group"], Topic: options["topic"],
		GroupBalancers: []kafka.GroupBalancer{balancer}, SessionTimeout: millis(options["session"]),
		HeartbeatInterval: millis(options["heartbeat"]), RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 100 * time.Millisecond,
		StartOffset: kafka.FirstOffset, MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond, CommitInterval: interval,
		Dialer: dialer()})
	for {
		m, err := r.FetchMessage(ctx)
		if ctx.Err() != nil {
			return r.Close()
		}
		if err != nil {
			return err
		}
		say("r %s %d %d", name, m.Partition, m.Offset)
		if err := r.CommitMessages(ctx, m); err != nil && ctx.Err() == nil {
			say("note %s commit: %v", name, err)
		}
	}
}
