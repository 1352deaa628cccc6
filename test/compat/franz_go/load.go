package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record of the load says who wrote it: magic, producer, sequence within producer and partition, CRC of the rest.
const (
	loadMagic  = 0x4d524c44
	loadHeader = 4 + 4 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func loadValue(producer uint32, seq uint64, payload []byte) []byte {
	v := make([]byte, loadHeader+len(payload))
	binary.BigEndian.PutUint32(v, loadMagic)
	binary.BigEndian.PutUint32(v[4:], producer)
	binary.BigEndian.PutUint64(v[8:], seq)
	copy(v[loadHeader:], payload)
	binary.BigEndian.PutUint32(v[16:], crc32.Update(crc32.Checksum(v[:16], castagnoli), castagnoli, v[loadHeader:]))
	return v
}

func parseLoadValue(v []byte) (producer uint32, seq uint64, crc uint32, err error) {
	if len(v) < loadHeader || binary.BigEndian.Uint32(v) != loadMagic {
		return 0, 0, 0, errors.New("not a record of the load")
	}
	crc = binary.BigEndian.Uint32(v[16:])
	if crc != crc32.Update(crc32.Checksum(v[:16], castagnoli), castagnoli, v[loadHeader:]) {
		return 0, 0, 0, errors.New("a damaged record")
	}
	return binary.BigEndian.Uint32(v[4:]), binary.BigEndian.Uint64(v[8:]), crc, nil
}

type place struct {
	topic     string
	partition int32
}

func parseTopics(spec string) (map[string]int32, []place, error) {
	topics := map[string]int32{}
	var places []place
	for _, t := range strings.Split(spec, ",") {
		name, n, _ := strings.Cut(t, ":")
		k, err := strconv.Atoi(n)
		if err != nil {
			return nil, nil, fmt.Errorf("topics are name:partitions, not %q", t)
		}
		topics[name] = int32(k)
		for p := 0; p < k; p++ {
			places = append(places, place{name, int32(p)})
		}
	}
	return topics, places, nil
}

// load writes from several idempotent producers until it is told to end, and writes down what was acknowledged.
//
// On standard input: "drain" stops sending and waits until everything is acknowledged; "stop" gives up what is not
// yet acknowledged. On standard output: "acked N" ten times a second. The journal has one line for each
// acknowledgement, "a TOPIC PARTITION PRODUCER SEQ OFFSET", and "e PRODUCER MESSAGE" for every failure that is not
// the consequence of "stop".
func load(args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	seed := fs.Int64("seed", 1, "seed of the load")
	producers := fs.Int("producers", 8, "idempotent producers, each with its own client")
	first := fs.Int("first-producer", 0, "number of the first producer (unique in a data folder)")
	spec := fs.String("topics", "k1:1,k6:6,k40:40", "topics and their partitions, created if missing")
	journal := fs.String("journal", "journal", "file for what was acknowledged")
	rate := fs.Int("bytes-per-second", 3_000_000, "upper bound of the load of one producer")
	fs.Parse(args)
	signal.Ignore(syscall.SIGINT)
	topics, places, err := parseTopics(*spec)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	setup := client()
	adm := kadm.NewClient(setup)
	for name, n := range topics {
		// small segments, so that rolling falls into the rounds too
		cfg := map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}
		for i := 0; ; i++ {
			_, err := adm.CreateTopic(ctx, n, 1, cfg, name)
			if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
				break
			}
			if i > 50 {
				return fmt.Errorf("create %s: %w", name, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	setup.Close()

	var mu sync.Mutex
	var lines []string
	var acked atomic.Int64
	var stopped atomic.Bool
	note := func(l string) {
		mu.Lock()
		lines = append(lines, l)
		mu.Unlock()
	}
	codecs := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	done := make(chan struct{}) // closed: send no more
	var wg sync.WaitGroup
	var clients []*kgo.Client
	for i := 0; i < *producers; i++ {
		id := uint32(*first + i)
		rng := rand.New(rand.NewSource(*seed*1000 + int64(i)))
		opts := []kgo.Opt{
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec(codecs[i%len(codecs)])),
			kgo.RequiredAcks(kgo.AllISRAcks()), kgo.StopProducerOnDataLossDetected(), kgo.MaxBufferedRecords(4000),
			kgo.RetryBackoffFn(func(n int) time.Duration { return time.Duration(min(n, 20)) * 10 * time.Millisecond }),
			kgo.DialTimeout(2 * time.Second), kgo.RequestTimeoutOverhead(10 * time.Second), kgo.RecordRetries(1 << 30), kgo.RequestRetries(1 << 30),
			kgo.UnknownTopicRetries(1 << 30),
		}
		if i%3 != 0 {
			opts = append(opts, kgo.ProducerLinger(time.Duration(rng.Intn(10))*time.Millisecond))
		} else {
			opts = append(opts, kgo.ProducerLinger(0))
		}
		cl := client(opts...)
		clients = append(clients, cl)
		// some producers write everywhere, the others to a few partitions
		mine := places
		if i%4 != 3 {
			mine = nil
			for k := 0; k < 1+rng.Intn(4); k++ {
				mine = append(mine, places[rng.Intn(len(places))])
			}
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			seqs := map[place]uint64{}
			payload := make([]byte, 256<<10)
			rng.Read(payload)
			began, sent := time.Now(), 0
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				pl := mine[n%len(mine)]
				size := rng.Intn(300)
				switch {
				case i%5 == 2 && rng.Intn(20) == 0:
					size = rng.Intn(len(payload)) // now and then a large one
				case i%5 == 4:
					size = rng.Intn(5000)
				}
				at := rng.Intn(len(payload) - size + 1)
				seq := seqs[pl]
				seqs[pl]++
				r := &kgo.Record{Topic: pl.topic, Partition: pl.partition, Value: loadValue(id, seq, payload[at:at+size])}
				if n%3 == 0 {
					r.Key = []byte(strconv.Itoa(n))
					r.Headers = []kgo.RecordHeader{{Key: "n", Value: r.Key}}
				}
				cl.Produce(ctx, r, func(r *kgo.Record, err error) {
					if err != nil {
						if !stopped.Load() {
							note(fmt.Sprintf("e %d %s[%d] seq %d: %v", id, r.Topic, r.Partition, seq, err))
						}
						return
					}
					acked.Add(1)
					note(fmt.Sprintf("a %s %d %d %d %d", r.Topic, r.Partition, id, seq, r.Offset))
				})
				if i%3 == 0 && rng.Intn(4) == 0 {
					cl.Flush(ctx) // one request at a time: small batches, each with its own commit
				}
				sent += size + 100
				if ahead := time.Duration(float64(sent)/float64(*rate)*1e9) - time.Since(began); ahead > time.Millisecond {
					select {
					case <-done:
					case <-time.After(min(ahead, 50*time.Millisecond)):
					}
				}
			}
		}()
	}
	go func() {
		for ctx.Err() == nil {
			fmt.Printf("acked %d\n", acked.Load())
			time.Sleep(100 * time.Millisecond)
		}
	}()
	in := bufio.NewScanner(os.Stdin)
	how := "stop"
	if in.Scan() {
		how = in.Text()
	}
	if how == "drain" {
		close(done)
		wg.Wait()
		to, giveUp := context.WithTimeout(ctx, 60*time.Second)
		for i, cl := range clients {
			if err := cl.Flush(to); err != nil {
				note(fmt.Sprintf("e %d could not drain within 60 s: %v", *first+i, err))
			}
		}
		giveUp()
	}
	stopped.Store(true)
	if how != "drain" {
		close(done)
	}
	cancel()
	for _, cl := range clients {
		cl.Close()
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	f, err := os.Create(*journal)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for _, l := range lines {
		fmt.Fprintln(out, strings.ReplaceAll(l, "\n", " "))
	}
	return errors.Join(out.Flush(), f.Close())
}
