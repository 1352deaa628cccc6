// Command kafka_go is the segmentio/kafka-go side of the client checks; lib.sh calls its verbs.
//
//	create TOPIC PARTITIONS [name=value …]    lines TOPIC CODEC FILE    cat TOPIC
//	write TOPIC CODEC RECORDS                 read FOLDER TOPIC…        one TOPIC SIZE    admin PREFIX
//
// BOOTSTRAP names the broker. It has both of this client's code paths: Writer and Client, which negotiate
// versions, and Reader and Conn, which use fixed low ones. It has no idempotent producer.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
)

var addr = os.Getenv("BOOTSTRAP")

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "members" { // see members.go
		if err := members(context.Background()); err != nil {
			fail(err)
		}
		return
	}
	if len(os.Args) < 3 {
		fail(errors.New("a verb and a topic are needed"))
	}
	args := os.Args[2:]
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var err error
	switch os.Args[1] {
	case "create":
		err = create(ctx, args)
	case "lines":
		err = lines(ctx, args[0], args[1], args[2])
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
	default:
		err = fmt.Errorf("verb %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

// login is that of test/compat/sasl; without SASL_USER there is none.
func login() sasl.Mechanism {
	if user, isGiven := os.LookupEnv("SASL_USER"); isGiven {
		return plain.Mechanism{Username: user, Password: os.Getenv("SASL_PASSWORD")}
	}
	return nil
}

func dialer() *kafka.Dialer {
	return &kafka.Dialer{Timeout: 10 * time.Second, DualStack: true, SASLMechanism: login()}
}

func client() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(addr), Timeout: 30 * time.Second, Transport: &kafka.Transport{ClientID: "compat-kafka-go", MetadataTTL: 50 * time.Millisecond, SASL: login()}}
}

func create(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	t := kafka.TopicConfig{Topic: args[0], NumPartitions: n, ReplicationFactor: 1}
	for _, kv := range args[2:] {
		k, v, _ := strings.Cut(kv, "=")
		t.ConfigEntries = append(t.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	r, err := client().CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{t}})
	if err != nil {
		return err
	}
	return r.Errors[args[0]]
}

func codec(name string) kafka.Compression {
	var c kafka.Compression
	if name != "none" {
		if err := c.UnmarshalText([]byte(name)); err != nil {
			fail(err)
		}
	}
	return c
}

// first sends everything to partition 0.
type first struct{}

func (first) Balance(kafka.Message, ...int) int { return 0 }

func writer(topic, comp string) *kafka.Writer {
	return &kafka.Writer{Addr: kafka.TCP(addr), Topic: topic, Balancer: first{}, RequiredAcks: kafka.RequireAll, Compression: codec(comp),
		BatchSize: 5000, BatchBytes: 900_000, BatchTimeout: 5 * time.Millisecond, WriteTimeout: time.Minute, ReadTimeout: time.Minute,
		Transport: &kafka.Transport{ClientID: "compat-kafka-go", SASL: login()}}
}

func send(ctx context.Context, w *kafka.Writer, ms []kafka.Message) error {
	err := w.WriteMessages(ctx, ms...)
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		for _, e := range each {
			if e != nil {
				return e
			}
		}
	}
	return err
}

func lines(ctx context.Context, topic, comp, file string) error {
	w := writer(topic, comp)
	defer w.Close()
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	var ms []kafka.Message
	for in.Scan() {
		ms = append(ms, kafka.Message{Value: append([]byte(nil), in.Bytes()...)})
		if len(ms) == 20_000 {
			if err := send(ctx, w, ms); err != nil {
				return err
			}
			ms = ms[:0]
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return send(ctx, w, ms)
}

// scan hands over partition 0 through the Reader, from its start to its end as of now.
func scan(ctx context.Context, topic string, each func(kafka.Message) error) error {
	conn, err := dialer().DialLeader(ctx, "tcp", addr, topic, 0)
	if err != nil {
		return err
	}
	next, end, err := conn.ReadOffsets()
	conn.Close()
	if err != nil {
		return err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{addr}, Topic: topic, Partition: 0, MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 500 * time.Millisecond, Dialer: dialer()})
	defer r.Close()
	if err := r.SetOffset(kafka.FirstOffset); err != nil {
		return err
	}
	for next < end {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		if m.Offset != next {
			return fmt.Errorf("offset %d where %d was expected", m.Offset, next)
		}
		next++
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

func cat(ctx context.Context, topic string) error {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	err := scan(ctx, topic, func(m kafka.Message) error {
		out.Write(m.Value)
		return out.WriteByte('\n')
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
	w := writer(topic, comp)
	defer w.Close()
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var ms []kafka.Message
	for _, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		f := strings.Split(l, "\t")
		m := kafka.Message{Key: unhex(f[0]), Value: unhex(f[1])}
		if f[2] != "" {
			for _, h := range strings.Split(f[2], ",") {
				k, v, _ := strings.Cut(h, "=")
				m.Headers = append(m.Headers, kafka.Header{Key: string(unhex(k)), Value: unhex(v)})
			}
		}
		ms = append(ms, m)
	}
	return send(ctx, w, ms)
}

// read uses Client.Fetch: unlike the Reader it tells null from empty.
func read(ctx context.Context, folder, topic string) error {
	f, err := os.Create(filepath.Join(folder, topic+".tsv"))
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	cl := client()
	next, end := int64(0), int64(1)
	bytesOf := func(b kafka.Bytes) ([]byte, error) {
		if b == nil {
			return nil, nil
		}
		all, err := io.ReadAll(b)
		if all == nil {
			all = []byte{}
		}
		return all, err
	}
	for next < end {
		r, err := cl.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Partition: 0, Offset: next, MinBytes: 1, MaxBytes: 10 << 20, MaxWait: time.Second})
		if err != nil {
			return err
		}
		if r.Error != nil {
			return r.Error
		}
		end = r.HighWatermark
		for {
			rec, err := r.Records.ReadRecord()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if rec.Offset < next { // the batch begins before the offset asked for
				continue
			}
			if rec.Offset != next {
				return fmt.Errorf("offset %d where %d was expected", rec.Offset, next)
			}
			next++
			key, err := bytesOf(rec.Key)
			if err != nil {
				return err
			}
			value, err := bytesOf(rec.Value)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s\t%s\t", tohex(key), tohex(value))
			for i, h := range rec.Headers {
				if i > 0 {
					out.WriteByte(',')
				}
				fmt.Fprintf(out, "%s=%s", tohex([]byte(h.Key)), tohex(h.Value))
			}
			out.WriteByte('\n')
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

func one(ctx context.Context, topic, size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	w := writer(topic, "none")
	w.BatchBytes = 8 << 20
	defer w.Close()
	return send(ctx, w, []kafka.Message{{Value: bytes.Repeat([]byte{0}, n)}})
}
