package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// members leads members of consumer groups by the lines of test/compat/groups/host.ts.
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

// owned keeps the partitions of one topic and says them at every change.
type owned struct {
	name string
	say  func(string, ...any)
	mu   sync.Mutex
	now  []int32
}

func (o *owned) change(add, remove []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = slices.DeleteFunc(o.now, func(p int32) bool { return slices.Contains(remove, p) })
	for _, p := range add {
		if !slices.Contains(o.now, p) {
			o.now = append(o.now, p)
		}
	}
	slices.Sort(o.now)
	all := make([]string, len(o.now))
	for i, p := range o.now {
		all[i] = strconv.Itoa(int(p))
	}
	text := strings.Join(all, ",")
	if text == "" {
		text = "-"
	}
	o.say("assigned %s %s", o.name, text)
}

func millis(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil {
		fail(err)
	}
	return time.Duration(n) * time.Millisecond
}

func member(ctx context.Context, name string, options map[string]string, say func(string, ...any)) error {
	topic, isManual := options["topic"], options["commit"] == "manual"
	mine := &owned{name: name, say: say}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(options["group"]), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(time.Second),
		kgo.FetchMaxWait(100 * time.Millisecond), kgo.AutoCommitInterval(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { mine.change(p[topic], nil) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, p map[string][]int32) {
			if err := cl.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
				say("note %s commit at revocation: %v", name, err)
			}
			mine.change(nil, p[topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			say("lost %s", name)
			mine.change(nil, p[topic])
		}),
	}
	if isManual {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	if options["instance"] != "" {
		opts = append(opts, kgo.InstanceID(options["instance"]))
	}
	balancers := map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer()}
	if options["protocol"] == "consumer" {
		balancer := kgo.StickyBalancer() // the broker's uniform
		if options["assignor"] == "range" {
			balancer = kgo.RangeBalancer()
		}
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(balancer))
	} else {
		opts = append(opts, kgo.SessionTimeout(millis(options["session"])), kgo.HeartbeatInterval(millis(options["heartbeat"])),
			kgo.Balancers(balancers[options["assignor"]]))
	}
	cl := client(opts...)
	defer cl.Close()
	for ctx.Err() == nil {
		fs := cl.PollFetches(ctx)
		for _, e := range fs.Errors() {
			if ctx.Err() == nil {
				return e.Err
			}
		}
		fs.EachRecord(func(r *kgo.Record) { say("r %s %d %d", name, r.Partition, r.Offset) })
		if isManual && fs.NumRecords() > 0 {
			if err := cl.CommitUncommittedOffsets(context.Background()); err != nil {
				say("note %s commit: %v", name, err)
			}
		}
	}
	return cl.CommitUncommittedOffsets(context.Background())
}
