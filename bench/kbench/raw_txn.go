package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() {
	commands["rawtxn"] = rawTxn
	commands["txnready"] = txnReady
}

// What is asked again while an end is still on its way is asked this soon: sooner than clients do.
const txnRetry = time.Millisecond

// txnLoad is what every producer does.
type txnLoad struct {
	topic  string
	values [][][]byte // of each partition's batch
	group  string
	older  bool // the protocol before KIP-890: partitions are added by a request of their own
}

// txnProducer is one transactional id on a connection of its own: one transaction after another, each of them one
// Produce request, perhaps an offset, and an EndTxn; as a client does that is given its records at once.
type txnProducer struct {
	k       *conn
	load    *txnLoad
	id      string
	parts   []int32
	pid     int64
	epoch   int16
	seqs    []int32
	req     []byte
	at      []int // where each batch starts
	ends    []int
	version int16
	frame   []byte
	retries int64
}

var errBusy = errors.New("to be asked again")

// codeErr tells what is to be asked again soon from what is wrong: the end before is on its way, or a coordinator that
// nobody has asked before is not there yet.
func codeErr(code int16) error {
	err := kerr.ErrorForCode(code)
	switch err {
	case kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable:
		return errBusy
	}
	return err
}

// again repeats what is answered with errBusy.
func (p *txnProducer) again(ask func() error) error {
	for try := 0; ; try++ {
		err := ask()
		if !errors.Is(err, errBusy) || try > 10_000 {
			return err
		}
		p.retries++
		nap(txnRetry)
	}
}

// begin asks for the producer id; a coordinator that is not there yet is waited for.
func (p *txnProducer) begin() error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr(p.id), 60_000
	p.k.pick(req, 5)
	var got *kmsg.InitProducerIDResponse
	for try := 0; ; try++ {
		resp, err := p.k.do(req)
		if err != nil {
			return err
		}
		got = resp.(*kmsg.InitProducerIDResponse)
		err = kerr.ErrorForCode(got.ErrorCode)
		if err == nil {
			break
		}
		if !kerr.IsRetriable(err) || try > 5000 {
			return fmt.Errorf("InitProducerId: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.pid, p.epoch = got.ProducerID, got.ProducerEpoch
	p.seqs = make([]int32, len(p.parts))
	p.prepare()
	return nil
}

// prepare makes the Produce request, in which only numbers change.
func (p *txnProducer) prepare() {
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = kmsg.StringPtr(p.id), -1, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = p.load.topic
	var batches [][]byte
	for i, part := range p.parts {
		b := batch(p.load.values[i], p.pid, p.epoch, int32(i))
		b[22] |= 0x10 // transactional
		seal(b)
		batches = append(batches, b)
		pp := kmsg.NewProduceRequestTopicPartition()
		pp.Partition, pp.Records = part, b
		t.Partitions = append(t.Partitions, pp)
	}
	req.Topics = append(req.Topics, t)
	limit := int16(12)
	if p.load.older {
		limit = 11
	}
	p.k.pick(req, limit)
	p.version = req.GetVersion()
	p.req = p.k.encode(req)
	p.at, p.ends = nil, nil
	for _, b := range batches {
		at := bytes.Index(p.req, b)
		p.at = append(p.at, at)
		p.ends = append(p.ends, at+len(b))
	}
}

func (p *txnProducer) sendBatches() error {
	for i := range p.parts {
		b := p.req[p.at[i]:p.ends[i]]
		binary.BigEndian.PutUint64(b[43:], uint64(p.pid))
		binary.BigEndian.PutUint16(b[51:], uint16(p.epoch))
		binary.BigEndian.PutUint32(b[53:], uint32(p.seqs[i]))
		seal(b)
	}
	_, err := p.k.c.Write(p.req)
	return err
}

// answer reads the next response into resp.
func (p *txnProducer) answer(resp kmsg.Response, version int16) error {
	var err error
	if p.frame, err = p.k.frame(p.frame); err != nil {
		return err
	}
	resp.SetVersion(version)
	b, err := body(resp, p.frame)
	if err != nil {
		return err
	}
	return resp.ReadFrom(b)
}

func (p *txnProducer) batchesAnswer() error {
	resp := kmsg.NewPtrProduceResponse()
	if err := p.answer(resp, p.version); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := codeErr(part.ErrorCode); err != nil {
				return fmt.Errorf("Produce to partition %d: %w", part.Partition, err)
			}
		}
	}
	return nil
}

func (p *txnProducer) offsetsRequest() *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = p.id, p.load.group+p.id, p.pid, p.epoch
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = p.load.topic
	o := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	o.Partition, o.Offset, o.Metadata = p.parts[0], int64(p.epoch), kmsg.StringPtr("")
	t.Partitions = append(t.Partitions, o)
	req.Topics = append(req.Topics, t)
	p.k.pick(req, 5)
	return req
}

func (p *txnProducer) offsetsAnswer(version int16) error {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	if err := p.answer(resp, version); err != nil {
		return err
	}
	if err := codeErr(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		return fmt.Errorf("TxnOffsetCommit: %w", err)
	}
	return nil
}

// addPartitions is of the older protocol alone.
func (p *txnProducer) addPartitions() error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = p.load.topic, p.parts
	req.Topics = append(req.Topics, t)
	p.k.pick(req, 3)
	resp, err := p.k.do(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.AddPartitionsToTxnResponse).Topics {
		for _, part := range t.Partitions {
			if err := codeErr(part.ErrorCode); err != nil {
				return fmt.Errorf("AddPartitionsToTxn: %w", err)
			}
		}
	}
	return nil
}

func (p *txnProducer) end(commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.pid, p.epoch, commit
	limit := int16(5)
	if p.load.older {
		limit = 4
	}
	p.k.pick(req, limit)
	if _, err := p.k.c.Write(p.k.encode(req)); err != nil {
		return err
	}
	resp := kmsg.NewPtrEndTxnResponse()
	if err := p.answer(resp, req.GetVersion()); err != nil {
		return err
	}
	if err := codeErr(resp.ErrorCode); err != nil {
		return fmt.Errorf("EndTxn: %w", err)
	}
	if req.GetVersion() >= 5 {
		p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
		clear(p.seqs)
		return nil
	}
	for i := range p.seqs {
		p.seqs[i] += int32(len(p.load.values[i]))
	}
	return nil
}

func (p *txnProducer) transaction(commit bool) error {
	if p.load.older {
		if err := p.again(p.addPartitions); err != nil {
			return err
		}
	}
	if err := p.sendBatches(); err != nil {
		return err
	}
	var offsets *kmsg.TxnOffsetCommitRequest
	if p.load.group != "" {
		offsets = p.offsetsRequest()
		if _, err := p.k.c.Write(p.k.encode(offsets)); err != nil {
			return err
		}
	}
	produced := p.batchesAnswer()
	if offsets != nil {
		version := offsets.GetVersion()
		if err := p.repeat(p.offsetsAnswer(version), func() error {
			if _, err := p.k.c.Write(p.k.encode(offsets)); err != nil {
				return err
			}
			return p.offsetsAnswer(version)
		}); err != nil {
			return err
		}
	}
	if err := p.repeat(produced, func() error {
		if err := p.sendBatches(); err != nil {
			return err
		}
		return p.batchesAnswer()
	}); err != nil {
		return err
	}
	return p.again(func() error { return p.end(commit) })
}

// repeat asks again if the first answer was that an end is on its way.
func (p *txnProducer) repeat(first error, ask func() error) error {
	if !errors.Is(first, errBusy) {
		return first
	}
	p.retries++
	nap(txnRetry)
	return p.again(ask)
}

// findTxnCoordinator waits until the coordinator of a transactional id (1) or a group (0) is there.
func findTxnCoordinator(k *conn, key string, kind int8) error {
	for try := 0; ; try++ {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorType = key, kind
		k.pick(req, 3)
		resp, err := k.do(req)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.(*kmsg.FindCoordinatorResponse).ErrorCode)
		if err == nil {
			return nil
		}
		if !kerr.IsRetriable(err) || try > 3000 {
			return fmt.Errorf("FindCoordinator: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// rawTxn runs transactions over plain sockets, one after another for each producer.
func rawTxn(args []string) (result, error) {
	c := newCommon("rawtxn")
	var (
		producers = c.fs.Int("producers", 1, "transactional producers, a connection each")
		ids       = c.fs.Int("ids", 0, "transactional ids: each runs one transaction, and the run ends with the last (0: one id a producer)")
		prefix    = c.fs.String("prefix", "kbench", "of the transactional ids")
		records   = c.fs.Int("records", 10, "records in each transaction, dealt among its partitions")
		size      = c.fs.Int("size", 1024, "record value bytes")
		per       = c.fs.Int("parts", 1, "partitions in each transaction")
		parts     = c.fs.Int("partitions", 12, "partitions of the topic (created if missing)")
		aborts    = c.fs.Int("abort-percent", 0, "transactions of a hundred that are aborted")
		group     = c.fs.String("group", "", "commit an offset too: prefix of the groups, one for each producer")
		older     = c.fs.Bool("older", false, "the protocol before KIP-890")
		txns      = c.fs.Int64("txns", 0, "end after so many transactions (0: by -duration)")
		dur       = c.fs.Duration("duration", 5*time.Second, "length of the measured run")
		fake      = c.fs.Bool("fake", false, "against a broker inside that only answers: what the generator can do at most")
	)
	c.fs.Parse(args)
	addr := c.seeds()[0]
	if *fake {
		a, stop, err := fakeBroker(*per)
		if err != nil {
			return nil, err
		}
		defer stop()
		addr = a
	} else {
		if err := createTopic(addr, c.topic, *parts, nil, time.Minute); err != nil {
			return nil, err
		}
	}
	known, err := dial(addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer known.close()
	if !*fake {
		if err := known.hello(); err != nil {
			return nil, err
		}
		if err := findTxnCoordinator(known, *prefix, 1); err != nil {
			return nil, err
		}
		if *group != "" {
			if err := findTxnCoordinator(known, *group, 0); err != nil {
				return nil, err
			}
		}
	}
	pool := payloads(*size, "text")
	load := &txnLoad{topic: c.topic, group: *group, older: *older, values: make([][][]byte, *per)}
	for i := 0; i < *records; i++ {
		load.values[i%*per] = append(load.values[i%*per], pool[i%len(pool)])
	}
	var done, began, aborted, retries, nextID atomic.Int64
	var mu sync.Mutex
	total := &hist{}
	var firstErr atomic.Value
	var wg, up sync.WaitGroup
	ready := make(chan struct{})
	var stopAt atomic.Int64
	for i := 0; i < *producers; i++ {
		wg.Add(1)
		up.Add(1)
		go func(i int) {
			defer wg.Done()
			isUp := false
			signal := func() {
				if !isUp {
					isUp = true
					up.Done()
				}
			}
			defer signal()
			err := func() error {
				k, err := dial(addr, 5*time.Second)
				if err != nil {
					return err
				}
				defer k.close()
				k.max = known.max
				p := &txnProducer{k: k, load: load, id: fmt.Sprintf("%s-%d", *prefix, i)}
				for j := 0; j < *per; j++ {
					p.parts = append(p.parts, int32((i**per+j)%*parts))
				}
				h := &hist{}
				defer func() {
					mu.Lock()
					total.merge(h)
					mu.Unlock()
					retries.Add(p.retries)
				}()
				if *ids > 0 {
					signal()
					<-ready
					for {
						n := nextID.Add(1) - 1
						if n >= int64(*ids) {
							return nil
						}
						p.id = fmt.Sprintf("%s-%d", *prefix, n)
						for j := range p.parts {
							p.parts[j] = int32((int(n)**per + j) % *parts)
						}
						s := time.Now()
						if err := p.begin(); err != nil {
							return err
						}
						if err := p.transaction(true); err != nil {
							return err
						}
						h.add(time.Since(s))
						done.Add(1)
					}
				}
				if err := p.begin(); err != nil {
					return err
				}
				if *txns == 0 { // one that does not count, after which everything is there
					if err := p.transaction(true); err != nil {
						return err
					}
				}
				p.retries = 0
				signal()
				<-ready
				for {
					if *txns > 0 && began.Add(1) > *txns {
						return nil
					}
					s := time.Now()
					if *txns == 0 && s.UnixNano() >= stopAt.Load() {
						return nil
					}
					n := done.Add(1)
					isAbort := n*int64(*aborts)/100 != (n-1)*int64(*aborts)/100
					if isAbort {
						aborted.Add(1)
					}
					if err := p.transaction(!isAbort); err != nil {
						return err
					}
					h.add(time.Since(s))
				}
			}()
			if err != nil {
				firstErr.CompareAndSwap(nil, err)
			}
		}(i)
	}
	up.Wait()
	w := startWatch(c.pid)
	t0 := time.Now()
	stopAt.Store(t0.Add(*dur).UnixNano())
	close(ready)
	wg.Wait()
	el := time.Since(t0).Seconds()
	r := result{
		"producers": *producers, "parts_per_txn": *per, "records_per_txn": *records, "size": *size, "older": *older,
		"txns": total.cnt, "aborted": aborted.Load(), "retries": retries.Load(), "seconds": round(el),
		"txns_per_s": round(float64(total.cnt) / el),
	}
	w.end(r, total.cnt*int64(*records)*int64(*size))
	if cpu, ok := r["broker_cpu_s"].(float64); ok && total.cnt > 0 {
		r["broker_cpu_ms_per_txn"] = round(cpu * 1000 / float64(total.cnt))
	}
	total.into(r, "txn_")
	c.finish(r)
	if e, ok := firstErr.Load().(error); ok {
		return r, e
	}
	return r, nil
}

// txnReady asks for the state of transactional ids until the coordinator knows all of them, since it has loaded its log,
// and none is in the middle of an end.
func txnReady(args []string) (result, error) {
	c := newCommon("txnready")
	ids := c.fs.Int("ids", 1, "transactional ids")
	prefix := c.fs.String("prefix", "kbench", "of the transactional ids")
	timeout := c.fs.Duration("timeout", time.Minute, "give up after")
	c.fs.Parse(args)
	k, err := dial(c.seeds()[0], 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer k.close()
	if err := k.hello(); err != nil {
		return nil, err
	}
	t0 := time.Now()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	k.pick(req, 0)
	// Some of them first, which lie in all partitions of the coordinator's log: asking for all again and again would be
	// a load of its own.
	some := min(*ids, 300)
	want := func(n int) {
		for i := len(req.TransactionalIDs); i < n; i++ {
			req.TransactionalIDs = append(req.TransactionalIDs, fmt.Sprintf("%s-%d", *prefix, i))
		}
	}
	want(some)
	asked := 0
	for {
		resp, err := k.do(req)
		if err != nil {
			return nil, err
		}
		asked++
		var last error
		states := map[string]int{}
		for _, t := range resp.(*kmsg.DescribeTransactionsResponse).TransactionStates {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
				last = err
				if !kerr.IsRetriable(err) {
					return nil, fmt.Errorf("%s: %w", t.TransactionalID, err)
				}
			} else if strings.HasPrefix(t.State, "Prepare") {
				last = fmt.Errorf("%s is in state %s", t.TransactionalID, t.State)
			}
			states[strings.ToLower(t.State)]++
		}
		if last == nil && len(req.TransactionalIDs) < *ids {
			want(*ids)
			continue
		}
		if last == nil {
			r := result{"ids": *ids, "asked": asked, "ready_ms": ms(time.Since(t0))}
			for state, n := range states {
				r["state_"+state] = n
			}
			c.finish(r)
			return r, nil
		}
		if time.Since(t0) > *timeout {
			return nil, fmt.Errorf("after %v: %w", *timeout, last)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
