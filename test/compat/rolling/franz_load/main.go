// The load of the rolling restart on franz-go: an idempotent producer and members of groups, led by lines on standard input.
// The lines, and those of the history, are those of test/compat/cluster/Load.java; each answer begins with the word asked.
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

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records of one partition that wait for their answer; beyond, its turn is skipped.
const waitingMax = 400

type state struct {
	mu                  sync.Mutex
	history             *bufio.Writer
	topics              map[string]int
	counts              map[string]int
	acked, failed, seen int
}

var all = state{topics: map[string]int{}, counts: map[string]int{}}

func now() int64 { return time.Now().UnixMilli() }

func note(format string, args ...any) {
	all.mu.Lock()
	defer all.mu.Unlock()
	fmt.Fprintf(all.history, format+"\n", args...)
}

func complain(who string, err error) { fmt.Fprintln(os.Stderr, who+":", err) }

func mod(n int32, by int32) int32 { return ((n % by) + by) % by }

// A value of which every byte follows from who wrote it: Writers.valueOf in Java.
func valueOf(producer string, seq int) string {
	name := producer + ":" + strconv.Itoa(seq) + ":"
	var hash int32
	for _, c := range []byte(name) {
		hash = hash*31 + int32(c)
	}
	out := []byte(name)
	for i := range mod(hash*31, 300) {
		out = append(out, byte('a'+mod(hash+i*7, 26)))
	}
	return string(out)
}

func nameOf(value []byte) string {
	parts := strings.SplitN(string(value), ":", 3)
	if len(parts) == 3 {
		if seq, err := strconv.Atoi(parts[1]); err == nil && valueOf(parts[0], seq) == string(value) {
			return parts[0] + " " + parts[1]
		}
	}
	shown := strings.Join(strings.Fields(string(value)), "_")
	return "? " + shown[:min(60, len(shown))]
}

func options(name string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(strings.Split(os.Getenv("BOOTSTRAP"), ",")...), kgo.ClientID(name),
		kgo.MetadataMaxAge(5 * time.Second), kgo.MetadataMinAge(100 * time.Millisecond), kgo.DialTimeout(3 * time.Second),
		kgo.RequestTimeoutOverhead(10 * time.Second), kgo.RequestRetries(1 << 30),
		kgo.RetryBackoffFn(func(n int) time.Duration { return time.Duration(min(n, 10)) * 50 * time.Millisecond }),
	}
}

func produce(ctx context.Context, name, topic string, perSecond int) {
	client, err := kgo.NewClient(append(options(name), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(2*time.Millisecond), kgo.StopProducerOnDataLossDetected(),
		kgo.RecordRetries(1<<30), kgo.UnknownTopicRetries(1<<30))...)
	if err != nil {
		complain(name, err)
		os.Exit(3)
	}
	partitions := all.topics[topic]
	seqs := make([]int, partitions)
	waiting := make([]int, partitions)
	var mu sync.Mutex
	began := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		partition := n % partitions
		mu.Lock()
		isFull := waiting[partition] >= waitingMax
		if !isFull {
			waiting[partition]++
		}
		mu.Unlock()
		if !isFull {
			seq := seqs[partition]
			seqs[partition]++
			note("s %d %s %s %d %d 0", now(), name, topic, partition, seq)
			record := &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte(valueOf(name, seq))}
			client.Produce(context.Background(), record, func(r *kgo.Record, err error) {
				mu.Lock()
				waiting[partition]--
				mu.Unlock()
				if err != nil {
					note("x %d %s %s %d %d %s", now(), name, topic, partition, seq, strings.ReplaceAll(err.Error(), " ", "_"))
					complain(name, err)
				} else {
					note("a %d %s %s %d %d %d", now(), name, topic, partition, seq, r.Offset)
				}
				all.mu.Lock()
				defer all.mu.Unlock()
				if err != nil {
					all.failed++
					return
				}
				all.acked++
				all.counts[fmt.Sprintf("%s/%d", topic, partition)]++
			})
		}
		ahead := time.Duration(n)*time.Second/time.Duration(perSecond) - time.Since(began)
		if ahead > 0 {
			time.Sleep(ahead)
		} else if ahead < -2*time.Second {
			began = time.Now().Add(-time.Duration(n) * time.Second / time.Duration(perSecond))
		}
	}
	to, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	if err := client.Flush(to); err != nil {
		complain(name, err)
	}
	client.Close()
}

type place struct {
	topic     string
	partition int32
}

// A member commits what it was handed over, from its one goroutine; callbacks run while it polls.
type member struct {
	name, group     string
	client          *kgo.Client
	next, committed map[place]int64
}

func (m *member) commit(ctx context.Context) {
	todo := map[string]map[int32]kgo.EpochOffset{}
	for at, offset := range m.next {
		if done, ok := m.committed[at]; ok && done == offset {
			continue
		}
		if todo[at.topic] == nil {
			todo[at.topic] = map[int32]kgo.EpochOffset{}
		}
		todo[at.topic][at.partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	if len(todo) == 0 {
		return
	}
	began := now()
	to, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	m.client.CommitOffsetsSync(to, todo, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			complain(m.name, err)
			return
		}
		for _, topic := range response.Topics {
			for _, each := range topic.Partitions {
				if each.ErrorCode != 0 {
					complain(m.name, fmt.Errorf("a commit was answered with %d", each.ErrorCode))
					continue
				}
				offset := todo[topic.Topic][each.Partition].Offset
				m.committed[place{topic.Topic, each.Partition}] = offset
				note("O %d %d %s %s %s %d %d", began, now(), m.name, m.group, topic.Topic, each.Partition, offset)
			}
		}
	})
}

func (m *member) each(partitions map[string][]int32, what func(place)) {
	for topic, numbers := range partitions {
		for _, number := range numbers {
			what(place{topic, number})
		}
	}
}

func (m *member) taken(at place) {
	delete(m.next, at)
	delete(m.committed, at)
	note("l %d %s %s %s %d", now(), m.name, m.group, at.topic, at.partition)
}

func consume(ctx context.Context, name, group, isolation string, topics []string) {
	m := &member{name: name, group: group, next: map[place]int64{}, committed: map[place]int64{}}
	level := kgo.ReadUncommitted()
	if isolation == "read_committed" {
		level = kgo.ReadCommitted()
	}
	client, err := kgo.NewClient(append(options(name), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(time.Second), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			m.each(assigned, func(at place) { note("j %d %s %s %s %d -1", now(), name, group, at.topic, at.partition) })
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, revoked map[string][]int32) {
			m.commit(ctx)
			m.each(revoked, m.taken)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { m.each(lost, m.taken) }))...)
	if err != nil {
		complain(name, err)
		os.Exit(3)
	}
	m.client = client
	note("g %s %s", group, isolation)
	nextCommit := time.Now()
	for ctx.Err() == nil {
		to, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := client.PollFetches(to)
		cancel()
		fetches.EachError(func(_ string, _ int32, err error) {
			if err != context.DeadlineExceeded && err != context.Canceled {
				complain(name, err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			note("r %d %s %s %s %d %d %s", now(), name, group, r.Topic, r.Partition, r.Offset, nameOf(r.Value))
			m.next[place{r.Topic, r.Partition}] = r.Offset + 1
			all.mu.Lock()
			all.seen++
			all.counts[fmt.Sprintf("%s:%s/%d", group, r.Topic, r.Partition)]++
			all.mu.Unlock()
		})
		if time.Now().After(nextCommit) {
			m.commit(context.Background())
			nextCommit = time.Now().Add(200 * time.Millisecond)
		}
		client.AllowRebalance()
	}
	m.commit(context.Background())
	client.CloseAllowingRebalance()
}

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		complain("history", err)
		os.Exit(3)
	}
	all.history = bufio.NewWriterSize(file, 1<<16)
	producing, stopProducing := context.WithCancel(context.Background())
	consuming, stopConsuming := context.WithCancel(context.Background())
	var producers, members sync.WaitGroup
	fmt.Println("up")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "quit" {
		words := strings.Fields(in.Text())
		answer := "ok"
		switch words[0] {
		case "topic":
			all.topics[words[1]], _ = strconv.Atoi(words[2])
		case "producer":
			rate, _ := strconv.Atoi(words[3])
			producers.Go(func() { produce(producing, words[1], words[2], rate) })
		case "member":
			if words[3] != "classic" {
				answer = "failed this client has the classic protocol alone"
				break
			}
			members.Go(func() { consume(consuming, words[1], words[2], words[4], words[5:]) })
		case "count":
			all.mu.Lock()
			answer = fmt.Sprintf("ok %d %d %d", all.acked, all.failed, all.seen)
			all.mu.Unlock()
		case "progress":
			all.mu.Lock()
			for line, times := range all.counts {
				answer += fmt.Sprintf(" %s=%d", line, times)
			}
			all.mu.Unlock()
		case "stop-producers":
			stopProducing()
			producers.Wait()
		case "stop-members":
			stopConsuming()
			members.Wait()
		default:
			answer = "failed there is no such word"
		}
		fmt.Println(words[0], answer)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.history.Flush() != nil || file.Close() != nil {
		os.Exit(3)
	}
}
