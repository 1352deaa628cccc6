// Command franz_go is the franz-go side of the client checks; lib.sh calls its verbs.
//
//	create TOPIC PARTITIONS [name=value …]    lines TOPIC CODEC FILE [idempotent]    cat TOPIC
//	write TOPIC CODEC RECORDS                 read FOLDER TOPIC…                     one TOPIC SIZE
//	admin PREFIX                              load …, verify … (kill rounds, see load.go and verify.go)
//	members (consumer groups, see members.go)
//	transform name=value … (transactions, see transform.go)
//
// BOOTSTRAP names the broker. Record lines are those of make_input.ts.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
)

func seeds() []string { return strings.Split(os.Getenv("BOOTSTRAP"), ",") }

func client(opts ...kgo.Opt) *kgo.Client {
	if user, isGiven := os.LookupEnv("SASL_USER"); isGiven { // see test/compat/sasl
		opts = append(opts, kgo.SASL(saslplain.Auth{User: user, Pass: os.Getenv("SASL_PASSWORD")}.AsMechanism()))
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds()...), kgo.ClientID("compat-franz-go"), kgo.MetadataMinAge(20 * time.Millisecond)}, opts...)...)
	if err != nil {
		fail(err)
	}
	return cl
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "none":
		return kgo.NoCompression()
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	fail(fmt.Errorf("codec %q", name))
	panic("not reached")
}

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("a verb is needed"))
	}
	args := os.Args[2:]
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var err error
	switch os.Args[1] {
	case "create":
		err = create(ctx, args)
	case "lines":
		err = lines(ctx, args)
	case "cat":
		err = cat(ctx, args[0])
	case "write":
		err = write(ctx, args[0], args[1], args[2])
	case "read":
		for _, t := range args[1:] {
			if err = read(ctx, args[0], t); err != nil {
				break
			}
		}
	case "one":
		err = one(ctx, args[0], args[1])
	case "admin":
		admin(ctx, args[0])
	case "transform":
		err = transform(context.Background(), args)
	case "members":
		err = members(context.Background())
	case "load":
		err = load(args)
	case "verify":
		err = verify(args)
	default:
		err = fmt.Errorf("verb %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func create(ctx context.Context, args []string) error {
	cl := client()
	defer cl.Close()
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	configs := map[string]*string{}
	for _, kv := range args[2:] {
		k, v, _ := strings.Cut(kv, "=")
		configs[k] = &v
	}
	r, err := kadm.NewClient(cl).CreateTopic(ctx, int32(n), 1, configs, args[0])
	if err != nil {
		return err
	}
	return r.Err
}

func producer(topic, comp string, opts ...kgo.Opt) *kgo.Client {
	return client(append([]kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec(comp)), kgo.RequiredAcks(kgo.AllISRAcks())}, opts...)...)
}

func plain() []kgo.Opt {
	return []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1)}
}

func lines(ctx context.Context, args []string) error {
	opts := plain() // one request in flight, so that a retry cannot reorder
	if len(args) > 3 && args[3] == "idempotent" {
		opts = nil
	}
	cl := producer(args[0], args[1], opts...)
	defer cl.Close()
	f, err := os.Open(args[2])
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	var first error
	bad := make(chan error, 1)
	for in.Scan() {
		cl.Produce(ctx, &kgo.Record{Value: append([]byte(nil), in.Bytes()...)}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case bad <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case first = <-bad:
	default:
	}
	return errors.Join(first, in.Err())
}

// scan hands over every record of a topic's partition 0 from its start to its end as of now.
func scan(ctx context.Context, topic string, each func(*kgo.Record)) error {
	cl := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	end, ok := ends.Lookup(topic, 0)
	if !ok || end.Err != nil {
		return fmt.Errorf("no end offset of %s: %v", topic, end.Err)
	}
	next := int64(0)
	for next < end.Offset {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return err
		}
		fs.EachRecord(func(r *kgo.Record) {
			if r.Offset != next {
				err = fmt.Errorf("%s: offset %d where %d was expected", topic, r.Offset, next)
			}
			next = r.Offset + 1
			each(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func cat(ctx context.Context, topic string) error {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	err := scan(ctx, topic, func(r *kgo.Record) {
		out.Write(r.Value)
		out.WriteByte('\n')
	})
	return errors.Join(err, out.Flush())
}

func unhex(s string) []byte {
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		fail(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

func tohex(b []byte) string {
	if b == nil {
		return "-"
	}
	return hex.EncodeToString(b)
}

func write(ctx context.Context, topic, comp, file string) error {
	cl := producer(topic, comp, append(plain(), kgo.ProducerLinger(5*time.Millisecond))...)
	defer cl.Close()
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var rs []*kgo.Record
	for _, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		f := strings.Split(l, "\t")
		r := &kgo.Record{Key: unhex(f[0]), Value: unhex(f[1])}
		if f[2] != "" {
			for _, h := range strings.Split(f[2], ",") {
				k, v, _ := strings.Cut(h, "=")
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(unhex(k)), Value: unhex(v)})
			}
		}
		rs = append(rs, r)
	}
	return cl.ProduceSync(ctx, rs...).FirstErr()
}

func read(ctx context.Context, folder, topic string) error {
	f, err := os.Create(filepath.Join(folder, topic+".tsv"))
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	err = scan(ctx, topic, func(r *kgo.Record) {
		fmt.Fprintf(out, "%s\t%s\t", tohex(r.Key), tohex(r.Value))
		for i, h := range r.Headers {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "%s=%s", tohex([]byte(h.Key)), tohex(h.Value))
		}
		out.WriteByte('\n')
	})
	return errors.Join(err, out.Flush(), f.Close())
}

func one(ctx context.Context, topic, size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	cl := producer(topic, "none", append(plain(), kgo.ProducerBatchMaxBytes(8<<20))...)
	defer cl.Close()
	return cl.ProduceSync(ctx, &kgo.Record{Value: make([]byte, n)}).FirstErr()
}
