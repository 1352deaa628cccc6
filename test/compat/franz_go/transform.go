package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transform consumes, transforms and produces in transactions, by the words of test/compat/transactions/worker.ts.
func transform(ctx context.Context, args []string) error {
	o := map[string]string{}
	for _, pair := range args {
		k, v, _ := strings.Cut(pair, "=")
		o[k] = v
	}
	number := func(name string) int {
		n, err := strconv.Atoi(o[name])
		if err != nil {
			fail(err)
		}
		return n
	}
	abort, batch, pause := number("abort"), number("batch"), number("pause")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(seeds()...), kgo.ClientID(o["id"]), kgo.MetadataMinAge(20*time.Millisecond),
		// Short: it asks for its producer only after it has its offsets, which are not stable before what a dead one left has run out
		// of its time.
		kgo.TransactionalID(o["id"]), kgo.TransactionTimeout(5*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumerGroup(o["group"]), kgo.ConsumeTopics(o["in"]), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.SessionTimeout(2*time.Second), kgo.HeartbeatInterval(300*time.Millisecond), kgo.Balancers(kgo.RangeBalancer()),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	fmt.Println("started")
	for ctx.Err() == nil {
		fs := session.PollRecords(ctx, batch)
		if ctx.Err() != nil {
			break
		}
		for _, e := range fs.Errors() {
			fmt.Printf("note fetch: %v\n", e.Err)
		}
		if fs.NumRecords() == 0 {
			continue
		}
		mark, aborts := "c:", rand.IntN(100) < abort
		if aborts {
			mark = "a:"
		}
		if err := session.Begin(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		first := kgo.AbortingFirstErrPromise(session.Client())
		fs.EachRecord(func(r *kgo.Record) {
			out := &kgo.Record{Topic: o["out"], Partition: r.Partition, Key: r.Key, Value: append([]byte(mark), r.Value...)}
			session.Produce(ctx, out, first.Promise())
		})
		failure := first.Err()
		if failure != nil {
			fmt.Printf("note produce: %v\n", failure)
		}
		time.Sleep(time.Duration(rand.IntN(pause+1)) * time.Millisecond)
		// Even while it stops: what was begun comes to an end.
		committed, err := session.End(context.WithoutCancel(ctx), kgo.TransactionEndTry(failure == nil && !aborts))
		if err != nil {
			return fmt.Errorf("end: %w", err)
		}
		if committed {
			fmt.Printf("committed %d\n", fs.NumRecords())
		} else {
			fmt.Printf("aborted %d\n", fs.NumRecords())
		}
	}
	return nil
}
