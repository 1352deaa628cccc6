package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeBroker answers what rawtxn asks, and does nothing else: what it lets through is what the generator can do.
func fakeBroker(parts int) (addr string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			k, err := ln.Accept()
			if err != nil {
				return
			}
			go answerFake(k, parts)
		}
	}()
	return ln.Addr().String(), func() { ln.Close() }, nil
}

func answerFake(k net.Conn, parts int) {
	defer k.Close()
	r := bufio.NewReaderSize(k, 256<<10)
	var frame, out []byte
	for {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint32(n[:]))
		if cap(frame) < size {
			frame = make([]byte, size)
		}
		frame = frame[:size]
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		key := int16(binary.BigEndian.Uint16(frame))
		version := int16(binary.BigEndian.Uint16(frame[2:]))
		resp := fakeAnswer(key, parts)
		resp.SetVersion(version)
		out = append(out[:0], 0, 0, 0, 0)
		out = append(out, frame[4:8]...) // correlation id
		if resp.IsFlexible() {
			out = append(out, 0)
		}
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := k.Write(out); err != nil {
			return
		}
	}
}

func fakeAnswer(key int16, parts int) kmsg.Response {
	switch key {
	case 0:
		resp := kmsg.NewPtrProduceResponse()
		t := kmsg.NewProduceResponseTopic()
		t.Partitions = make([]kmsg.ProduceResponseTopicPartition, parts)
		resp.Topics = append(resp.Topics, t)
		return resp
	case 22:
		return kmsg.NewPtrInitProducerIDResponse()
	case 24:
		return kmsg.NewPtrAddPartitionsToTxnResponse()
	case 28:
		resp := kmsg.NewPtrTxnOffsetCommitResponse()
		t := kmsg.NewTxnOffsetCommitResponseTopic()
		t.Partitions = append(t.Partitions, kmsg.NewTxnOffsetCommitResponseTopicPartition())
		resp.Topics = append(resp.Topics, t)
		return resp
	default:
		return kmsg.NewPtrEndTxnResponse()
	}
}
