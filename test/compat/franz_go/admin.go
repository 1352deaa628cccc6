package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// admin runs the admin calls one after another, one printed line for each.
func admin(ctx context.Context, prefix string) {
	cl := producer(prefix, "none")
	defer cl.Close()
	adm := kadm.NewClient(cl)
	bad := false
	step := func(name string, f func() error) {
		if err := f(); err != nil {
			bad = true
			fmt.Printf("not ok %s %v\n", name, err)
			return
		}
		fmt.Printf("ok %s\n", name)
	}
	t := prefix
	str := func(s string) *string { return &s }
	step("admin_create_topic", func() error {
		r, err := adm.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": str("3600000")}, t)
		if err != nil {
			return err
		}
		if r.NumPartitions != 3 || r.ReplicationFactor != 1 || r.Configs["retention.ms"].Value == nil || *r.Configs["retention.ms"].Value != "3600000" || r.ID == (kadm.TopicID{}) {
			return fmt.Errorf("answer %+v", r)
		}
		return nil
	})
	step("admin_create_existing_refused", func() error {
		r, err := adm.CreateTopic(ctx, 3, 1, nil, t)
		if !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("%v %+v", err, r)
		}
		return nil
	})
	step("admin_create_invalid_refused", func() error {
		if _, err := adm.CreateTopic(ctx, 1, 1, nil, t+"/bad name"); !errors.Is(err, kerr.InvalidTopicException) {
			return fmt.Errorf("name: %v", err)
		}
		if _, err := adm.CreateTopic(ctx, 0, 1, nil, t+"-zero"); !errors.Is(err, kerr.InvalidPartitions) {
			return fmt.Errorf("0 partitions: %v", err)
		}
		if _, err := adm.CreateTopic(ctx, 1, 3, nil, t+"-rf"); !errors.Is(err, kerr.InvalidReplicationFactor) {
			return fmt.Errorf("replication factor 3: %v", err)
		}
		if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": str("soon")}, t+"-cfg"); !errors.Is(err, kerr.InvalidConfig) {
			return fmt.Errorf("config: %v", err)
		}
		return nil
	})
	step("admin_describe_topic", func() error {
		ts, err := adm.ListTopics(ctx, t)
		if err != nil {
			return err
		}
		d := ts[t]
		if d.Err != nil || len(d.Partitions) != 3 || d.Partitions[2].Leader < 0 || len(d.Partitions[2].ISR) != 1 || d.ID == (kadm.TopicID{}) {
			return fmt.Errorf("%+v", d)
		}
		ts, err = adm.ListTopics(ctx, t+"-none")
		if err != nil || !errors.Is(ts[t+"-none"].Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("a topic that is not there: %v %v", err, ts[t+"-none"].Err)
		}
		return nil
	})
	step("admin_create_partitions", func() error {
		r, err := adm.UpdatePartitions(ctx, 5, t)
		if err != nil || r[t].Err != nil {
			return fmt.Errorf("%v %v", err, r[t].Err)
		}
		for i := 0; ; i++ {
			ts, err := adm.ListTopics(ctx, t)
			if err != nil {
				return err
			}
			if len(ts[t].Partitions) == 5 {
				break
			}
			if i > 100 {
				return fmt.Errorf("%d partitions", len(ts[t].Partitions))
			}
			time.Sleep(20 * time.Millisecond)
		}
		r, err = adm.UpdatePartitions(ctx, 2, t)
		if err != nil || !errors.Is(r[t].Err, kerr.InvalidPartitions) {
			return fmt.Errorf("fewer: %v %v", err, r[t].Err)
		}
		return nil
	})
	config := func(key string) (string, kmsg.ConfigSource, error) {
		rs, err := adm.DescribeTopicConfigs(ctx, t)
		if err != nil {
			return "", 0, err
		}
		r, err := rs.On(t, nil)
		if err != nil {
			return "", 0, err
		}
		if r.Err != nil {
			return "", 0, r.Err
		}
		for _, c := range r.Configs {
			if c.Key == key {
				return c.MaybeValue(), c.Source, nil
			}
		}
		return "", 0, fmt.Errorf("%s is not described", key)
	}
	wait := func(key, want string, source kmsg.ConfigSource) error {
		for i := 0; ; i++ {
			v, s, err := config(key)
			if err == nil && v == want && s == source {
				return nil
			}
			if err != nil || i > 100 {
				return fmt.Errorf("%s=%q (%v), want %q (%v): %v", key, v, s, want, source, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	step("admin_describe_configs", func() error {
		if err := wait("retention.ms", "3600000", kmsg.ConfigSourceDynamicTopicConfig); err != nil {
			return err
		}
		return wait("max.message.bytes", "1048588", kmsg.ConfigSourceDefaultConfig)
	})
	step("admin_incremental_alter_configs", func() error {
		alter := func(op kadm.IncrementalOp, k, v string) error {
			rs, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: k, Value: str(v)}}, t)
			if err != nil {
				return err
			}
			r, err := rs.On(t, nil)
			if err != nil {
				return err
			}
			return r.Err
		}
		if err := alter(kadm.SetConfig, "max.message.bytes", "5000"); err != nil {
			return err
		}
		if err := wait("max.message.bytes", "5000", kmsg.ConfigSourceDynamicTopicConfig); err != nil {
			return err
		}
		if err := alter(kadm.AppendConfig, "cleanup.policy", "compact"); err != nil {
			return err
		}
		if v, _, err := config("cleanup.policy"); err != nil || (v != "delete,compact" && v != "compact,delete") {
			return fmt.Errorf("append: %q %v", v, err)
		}
		if err := alter(kadm.DeleteConfig, "cleanup.policy", ""); err != nil {
			return err
		}
		if err := alter(kadm.DeleteConfig, "max.message.bytes", ""); err != nil {
			return err
		}
		if err := alter(kadm.SetConfig, "max.message.bytes", "many"); !errors.Is(err, kerr.InvalidConfig) {
			return fmt.Errorf("a wrong value: %v", err)
		}
		return wait("max.message.bytes", "1048588", kmsg.ConfigSourceDefaultConfig)
	})
	base := time.Now().Add(-time.Minute).Truncate(time.Second)
	step("admin_list_offsets_by_time", func() error {
		for i := 0; i < 5; i++ {
			r := &kgo.Record{Value: []byte{byte(i)}, Timestamp: base.Add(time.Duration(i) * time.Second)}
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				return err
			}
		}
		for _, c := range []struct {
			at   int64
			want int64
		}{{base.UnixMilli(), 0}, {base.UnixMilli() + 1500, 2}, {base.UnixMilli() + 4000, 4}, {-2, 0}, {-1, 5}, {-3, 4}} {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID = -1
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = t
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Timestamp, rp.CurrentLeaderEpoch = c.at, -1
			rt.Partitions = append(rt.Partitions, rp)
			req.Topics = append(req.Topics, rt)
			resp, err := req.RequestWith(ctx, cl)
			if err != nil {
				return err
			}
			p := resp.Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.Offset != c.want {
				return fmt.Errorf("timestamp %d: offset %d error %d, want %d", c.at, p.Offset, p.ErrorCode, c.want)
			}
		}
		l, err := adm.ListOffsetsAfterMilli(ctx, base.UnixMilli()+60_000*60, t)
		if err != nil {
			return err
		}
		if o, _ := l.Lookup(t, 0); o.Offset != 5 { // kadm answers the end where the broker says -1
			return fmt.Errorf("after the last: %+v", o)
		}
		return nil
	})
	step("admin_delete_records", func() error {
		os := kadm.Offsets{}
		os.AddOffset(t, 0, 3, -1)
		r, err := adm.DeleteRecords(ctx, os)
		if err != nil {
			return err
		}
		if d, _ := r.Lookup(t, 0); d.Err != nil || d.LowWatermark != 3 {
			return fmt.Errorf("%+v", d)
		}
		s, err := adm.ListStartOffsets(ctx, t)
		if err != nil {
			return err
		}
		if o, _ := s.Lookup(t, 0); o.Offset != 3 {
			return fmt.Errorf("start %+v", o)
		}
		os2 := kadm.Offsets{}
		os2.AddOffset(t, 0, 99, -1)
		r, err = adm.DeleteRecords(ctx, os2)
		if err != nil {
			return err
		}
		if d, _ := r.Lookup(t, 0); !errors.Is(d.Err, kerr.OffsetOutOfRange) {
			return fmt.Errorf("past the end: %v", d.Err)
		}
		return nil
	})
	step("fetch_below_start_refused", func() error {
		c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t: {0: kgo.NewOffset().At(1)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		defer c.Close()
		to, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		if err := c.PollFetches(to).Err(); !errors.Is(err, kerr.OffsetOutOfRange) {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	step("fetch_after_delete_records", func() error {
		c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t: {0: kgo.NewOffset().AtStart()}}))
		defer c.Close()
		to, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		var got []byte
		for len(got) < 2 && to.Err() == nil {
			fs := c.PollFetches(to)
			if err := fs.Err(); err != nil {
				return err
			}
			fs.EachRecord(func(r *kgo.Record) {
				if r.Timestamp.UnixMilli() != base.UnixMilli()+int64(r.Value[0])*1000 {
					got = append(got, 0xee)
				}
				got = append(got, r.Value...)
			})
		}
		if !bytes.Equal(got, []byte{3, 4}) {
			return fmt.Errorf("read %v", got)
		}
		return nil
	})
	step("fetch_waits_for_new_records", func() error {
		c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t: {1: kgo.NewOffset().AtEnd()}}), kgo.FetchMaxWait(5*time.Second))
		defer c.Close()
		to, stop := context.WithTimeout(ctx, 20*time.Second)
		defer stop()
		short, cancel := context.WithTimeout(to, 300*time.Millisecond)
		c.PollFetches(short)
		cancel()
		got := make(chan time.Time, 1)
		go func() {
			for to.Err() == nil {
				if fs := c.PollFetches(to); fs.NumRecords() > 0 {
					got <- time.Now()
					return
				}
			}
		}()
		time.Sleep(300 * time.Millisecond)
		at := time.Now()
		if err := cl.ProduceSync(ctx, &kgo.Record{Partition: 1, Value: []byte("now")}).FirstErr(); err != nil {
			return err
		}
		select {
		case g := <-got:
			if d := g.Sub(at); d > time.Second {
				return fmt.Errorf("took %v: a long poll was not woken", d)
			}
		case <-to.Done():
			return errors.New("nothing came")
		}
		return nil
	})
	step("admin_offset_for_leader_epoch", func() error {
		var req kadm.OffsetForLeaderEpochRequest
		req.Add(t, 0, 0)
		r, err := adm.OffetForLeaderEpoch(ctx, req)
		if err != nil {
			return err
		}
		if d := r[t][0]; d.Err != nil || d.EndOffset != 5 {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
	step("admin_describe_log_dirs", func() error {
		r, err := adm.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return err
		}
		var size int64
		for _, d := range r {
			if err := d.Error(); err != nil {
				return err
			}
		}
		r.Each(func(d kadm.DescribedLogDir) {
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				if p.Topic == t && p.Partition == 0 {
					size = p.Size
				}
			})
		})
		if size <= 0 {
			return errors.New("no size of partition 0")
		}
		return nil
	})
	step("admin_describe_cluster", func() error {
		m, err := adm.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		if m.Cluster == "" || m.Controller < 0 || len(m.Brokers) != 1 {
			return fmt.Errorf("metadata %+v", m)
		}
		resp, err := kmsg.NewPtrDescribeClusterRequest().RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		if resp.ErrorCode != 0 || resp.ClusterID != m.Cluster || len(resp.Brokers) != 1 {
			return fmt.Errorf("%+v", resp)
		}
		return nil
	})
	step("admin_delete_topic", func() error {
		r, err := adm.DeleteTopics(ctx, t)
		if err != nil || r[t].Err != nil {
			return fmt.Errorf("%v %v", err, r[t].Err)
		}
		for i := 0; ; i++ {
			ts, err := adm.ListTopics(ctx, t)
			if err != nil {
				return err
			}
			if errors.Is(ts[t].Err, kerr.UnknownTopicOrPartition) {
				break
			}
			if i > 100 {
				return errors.New("still there")
			}
			time.Sleep(20 * time.Millisecond)
		}
		r, err = adm.DeleteTopics(ctx, t)
		if err != nil || !errors.Is(r[t].Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("again: %v %v", err, r[t].Err)
		}
		return nil
	})
	if bad {
		os.Exit(1)
	}
}
