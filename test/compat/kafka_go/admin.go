package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
)

// admin runs the admin calls one after another, one printed line for each.
func admin(ctx context.Context, t string) {
	bad := false
	step := func(name string, f func() error) {
		if err := f(); err != nil {
			bad = true
			fmt.Printf("not ok %s %v\n", name, err)
			return
		}
		fmt.Printf("ok %s\n", name)
	}
	cl := client()
	topic := func() (kafka.Topic, error) {
		m, err := cl.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{t}})
		if err != nil {
			return kafka.Topic{}, err
		}
		if len(m.Topics) != 1 {
			return kafka.Topic{}, fmt.Errorf("%d topics", len(m.Topics))
		}
		return m.Topics[0], m.Topics[0].Error
	}
	until := func(holds func() (bool, error)) error {
		for i := 0; ; i++ {
			ok, err := holds()
			if ok && err == nil {
				return nil
			}
			if i > 250 {
				return fmt.Errorf("not in time: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	step("admin_create_topic", func() error {
		make := func() error {
			r, err := cl.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: t, NumPartitions: 3, ReplicationFactor: 1,
				ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "3600000"}}}}})
			if err != nil {
				return err
			}
			return r.Errors[t]
		}
		if err := make(); err != nil {
			return err
		}
		if err := make(); !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("again: %v", err)
		}
		return nil
	})
	step("admin_describe_topic", func() error {
		return until(func() (bool, error) {
			d, err := topic()
			return len(d.Partitions) == 3 && d.Partitions[0].Leader.Port > 0, err
		})
	})
	step("admin_create_partitions", func() error {
		r, err := cl.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: t, Count: 5}}})
		if err != nil || r.Errors[t] != nil {
			return fmt.Errorf("%v %v", err, r.Errors[t])
		}
		return until(func() (bool, error) {
			d, err := topic()
			return len(d.Partitions) == 5, err
		})
	})
	config := func(name string) (kafka.DescribeConfigResponseConfigEntry, error) {
		r, err := cl.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: t, ConfigNames: []string{name}}}})
		if err != nil {
			return kafka.DescribeConfigResponseConfigEntry{}, err
		}
		if len(r.Resources) != 1 || r.Resources[0].Error != nil || len(r.Resources[0].ConfigEntries) != 1 {
			return kafka.DescribeConfigResponseConfigEntry{}, fmt.Errorf("%+v", r.Resources)
		}
		return r.Resources[0].ConfigEntries[0], nil
	}
	step("admin_describe_configs", func() error {
		c, err := config("retention.ms")
		if err != nil || c.ConfigValue != "3600000" {
			return fmt.Errorf("%+v %v", c, err)
		}
		return nil
	})
	step("admin_incremental_alter_configs", func() error {
		for _, c := range []struct {
			op          kafka.ConfigOperation
			value, want string
		}{{kafka.ConfigOperationSet, "5000", "5000"}, {kafka.ConfigOperationDelete, "", "1048588"}} {
			r, err := cl.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: t,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "max.message.bytes", Value: c.value, ConfigOperation: c.op}}}}})
			if err != nil {
				return err
			}
			if len(r.Resources) != 1 || r.Resources[0].Error != nil {
				return fmt.Errorf("%+v", r.Resources)
			}
			if err := until(func() (bool, error) {
				d, err := config("max.message.bytes")
				return d.ConfigValue == c.want, err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	base := time.Now().Add(-time.Minute).Truncate(time.Second)
	step("admin_list_offsets_by_time", func() error {
		w := writer(t, "none")
		defer w.Close()
		for i := 0; i < 5; i++ {
			if err := send(ctx, w, []kafka.Message{{Value: []byte{byte(i)}, Time: base.Add(time.Duration(i) * time.Second)}}); err != nil {
				return err
			}
		}
		r, err := cl.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{t: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.TimeOffsetOf(0, base.Add(1500*time.Millisecond))}}})
		if err != nil {
			return err
		}
		p := r.Topics[t][0]
		if _, ok := p.Offsets[2]; p.Error != nil || p.FirstOffset != 0 || p.LastOffset != 5 || !ok {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	step("conn_low_versions", func() error { // the old path: fixed low versions of Metadata, ListOffsets, Fetch, Produce, CreateTopics
		c, err := kafka.DialLeader(ctx, "tcp", addr, t, 1)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.ApiVersions(); err != nil {
			return fmt.Errorf("ApiVersions: %w", err)
		}
		if _, err := c.WriteCompressedMessages(kafka.Gzip.Codec(), kafka.Message{Value: []byte("by conn"), Headers: []kafka.Header{{Key: "h", Value: []byte("1")}}}); err != nil {
			return fmt.Errorf("Produce: %w", err)
		}
		if _, err := c.WriteMessages(kafka.Message{Key: []byte("k"), Value: []byte("second")}); err != nil {
			return fmt.Errorf("Produce: %w", err)
		}
		if lo, hi, err := c.ReadOffsets(); err != nil || lo != 0 || hi != 2 {
			return fmt.Errorf("ListOffsets: %d to %d, %v", lo, hi, err)
		}
		if _, err := c.Seek(0, kafka.SeekAbsolute); err != nil {
			return err
		}
		b := c.ReadBatch(1, 1<<20)
		m, err := b.ReadMessage()
		if err != nil || string(m.Value) != "by conn" || len(m.Headers) != 1 {
			return fmt.Errorf("Fetch: %+v %v", m, err)
		}
		m, err = b.ReadMessage()
		if err != nil || string(m.Value) != "second" {
			return fmt.Errorf("Fetch, second: %+v %v", m, err)
		}
		b.Close()
		if _, err := c.Brokers(); err != nil {
			return fmt.Errorf("Brokers: %w", err)
		}
		parts, err := c.ReadPartitions(t)
		if err != nil || len(parts) != 5 {
			return fmt.Errorf("ReadPartitions: %d %v", len(parts), err)
		}
		d, err := kafka.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer d.Close()
		if _, err := d.Controller(); err != nil {
			return fmt.Errorf("Controller: %w", err)
		}
		if err := d.CreateTopics(kafka.TopicConfig{Topic: t + "-conn", NumPartitions: 1, ReplicationFactor: 1}); err != nil {
			return fmt.Errorf("CreateTopics v2: %w", err)
		}
		if err := d.DeleteTopics(t + "-conn"); err != nil {
			return fmt.Errorf("DeleteTopics v1: %w", err)
		}
		return nil
	})
	step("reader_below_start", func() error { // an offset that is not there: the reader is told so
		c, err := kafka.DialLeader(ctx, "tcp", addr, t, 1)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Seek(999, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
			return err
		}
		b := c.ReadBatch(1, 1<<20)
		_, err = b.ReadMessage()
		if closed := b.Close(); errors.Is(closed, kafka.OffsetOutOfRange) {
			return nil
		}
		if err == nil || err == io.EOF || !errors.Is(err, kafka.OffsetOutOfRange) {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	step("admin_describe_cluster", func() error { // from metadata: the client has no other way
		m, err := cl.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return err
		}
		if len(m.Brokers) != 1 || m.ClusterID == "" || m.Controller.Port == 0 {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	// InitProducerID is left out: this client asks for a transaction coordinator first
	step("admin_delete_topic", func() error {
		r, err := cl.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{t}})
		if err != nil || r.Errors[t] != nil {
			return fmt.Errorf("%v %v", err, r.Errors[t])
		}
		return until(func() (bool, error) {
			_, err := topic()
			if errors.Is(err, kafka.UnknownTopicOrPartition) {
				return true, nil
			}
			return false, err
		})
	})
	if bad {
		os.Exit(1)
	}
}
