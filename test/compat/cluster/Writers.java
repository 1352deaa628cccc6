// The producers of the load: idempotent ones that write at a steady pace to every partition, and transactional ones, some of
// whose transactions are aborted. Each is a thread, and goes on until isStopping; what becomes of each record is in the history.
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

final class Writers {
  static final AtomicBoolean isStopping = new AtomicBoolean();
  static final AtomicLong acked = new AtomicLong();
  static final AtomicLong failed = new AtomicLong();
  /** By "TOPIC/PARTITION". */
  static final Map<String, AtomicLong> ackedAt = new ConcurrentHashMap<>();
  /** Records of one producer to one partition that wait for their answer; beyond, its turn is skipped. */
  private static final int WAITING_MAX = 400;

  private Writers() {}

  /** A value of which every byte follows from who wrote it. */
  static String valueOf(String producer, long seq) {
    String name = producer + ":" + seq + ":";
    int length = Math.floorMod(name.hashCode() * 31, 300);
    StringBuilder out = new StringBuilder(name);
    for (int i = 0; i < length; i++) out.append((char) ('a' + Math.floorMod(name.hashCode() + i * 7, 26)));
    return out.toString();
  }

  /** "PRODUCER SEQ"; "? VALUE" where a byte is not as it was written. */
  static String nameOf(String value) {
    String[] parts = value == null ? new String[0] : value.split(":", 3);
    if (parts.length == 3) {
      try {
        if (valueOf(parts[0], Long.parseLong(parts[1])).equals(value)) return parts[0] + " " + parts[1];
      } catch (NumberFormatException e) {
        // falls through: it is damaged
      }
    }
    return "? " + String.valueOf(value).replaceAll("\\s", "_").substring(0, Math.min(60, String.valueOf(value).length()));
  }

  private static Map<String, Object> config(String name) {
    var config = Load.common();
    config.put("client.id", name);
    config.put("acks", "all");
    config.put("enable.idempotence", true);
    config.put("linger.ms", 2);
    config.put("max.block.ms", 60_000);
    config.put("delivery.timeout.ms", (int) Load.deliveryTimeoutMs);
    return config;
  }

  private static String reason(Exception error) {
    return error.getClass().getSimpleName();
  }

  static final class Plain extends Thread {
    private final String topic;
    private final int perSecond;
    private final int requests;

    Plain(String name, String topic, int perSecond, int requests) {
      super(name);
      this.requests = requests;
      this.topic = topic;
      this.perSecond = perSecond;
    }

    @Override
    public void run() {
      String name = getName();
      int partitions = Load.topics.get(topic);
      long[] seqs = new long[partitions];
      AtomicIntegerArray waiting = new AtomicIntegerArray(partitions);
      var config = config(name);
      config.put("max.in.flight.requests.per.connection", requests);
      KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
      long began = System.nanoTime();
      for (long n = 0; !isStopping.get(); n++) {
        int partition = (int) (n % partitions);
        if (waiting.get(partition) < WAITING_MAX) {
          long seq = seqs[partition]++;
          waiting.incrementAndGet(partition);
          Load.note("s " + System.currentTimeMillis() + " " + name + " " + topic + " " + partition + " " + seq + " 0");
          try {
            producer.send(new ProducerRecord<>(topic, partition, null, valueOf(name, seq)), (done, error) -> {
              waiting.decrementAndGet(partition);
              long now = System.currentTimeMillis();
              String what = " " + now + " " + name + " " + topic + " " + partition + " " + seq + " ";
              if (error == null) {
                acked.incrementAndGet();
                ackedAt.computeIfAbsent(topic + "/" + partition, k -> new AtomicLong()).incrementAndGet();
                Load.note("a" + what + done.offset());
              } else {
                failed.incrementAndGet();
                Load.note("x" + what + reason(error));
                Load.complain(name, error);
              }
            });
          } catch (KafkaException e) {
            waiting.decrementAndGet(partition);
            failed.incrementAndGet();
            Load.note("x " + System.currentTimeMillis() + " " + name + " " + topic + " " + partition + " " + seq + " " + reason(e));
            Load.complain(name, e);
          }
        }
        long aheadMs = (n * 1000L) / perSecond - (System.nanoTime() - began) / 1_000_000;
        if (aheadMs > 0) pause(aheadMs);
        else if (aheadMs < -2000) began = System.nanoTime() - n * 1_000_000_000L / perSecond; // what was missed is not made up for
      }
      producer.flush();
      producer.close(java.time.Duration.ofSeconds(60));
    }
  }

  static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  static final class Transactor extends Thread {
    private static final int RECORDS_MAX = 12;
    private final String topic;
    private final int abortPercent;
    private final Random random;
    private KafkaProducer<String, String> producer;

    Transactor(String name, String topic, int abortPercent) {
      super(name);
      this.topic = topic;
      this.abortPercent = abortPercent;
      this.random = new Random(name.hashCode());
    }

    /** A producer that took over its transactional id: what was open before is ended. */
    private void open() {
      while (true) {
        var config = config(getName());
        config.put("transactional.id", getName());
        config.put("transaction.timeout.ms", 20_000);
        config.put("delivery.timeout.ms", 30_000);
        producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
        try {
          producer.initTransactions();
          return;
        } catch (KafkaException e) {
          Load.complain(getName() + " init", e);
          producer.close(java.time.Duration.ZERO);
          pause(200);
        }
      }
    }

    private void note(String kind, long serial) {
      Load.note(kind + " " + System.currentTimeMillis() + " " + getName() + " " + serial);
    }

    /** @return whether it was ended, and so the producer can go on */
    private boolean commit(long serial) {
      note("c", serial);
      for (int i = 0; i < 10; i++) {
        try {
          producer.commitTransaction();
          note("C", serial);
          return true;
        } catch (TimeoutException e) {
          Load.complain(getName() + " commit", e); // it may be asked again
        } catch (KafkaException e) {
          Load.complain(getName() + " commit", e);
          return abort(serial);
        }
      }
      return false;
    }

    private boolean abort(long serial) {
      note("v", serial);
      for (int i = 0; i < 10; i++) {
        try {
          producer.abortTransaction();
          note("V", serial);
          return true;
        } catch (TimeoutException e) {
          Load.complain(getName() + " abort", e);
        } catch (RuntimeException e) {
          Load.complain(getName() + " abort", e);
          return false;
        }
      }
      return false;
    }

    @Override
    public void run() {
      String name = getName();
      int partitions = Load.topics.get(topic);
      long[] seqs = new long[partitions];
      open();
      for (long n = 1; !isStopping.get(); n++) {
        long serial = n;
        boolean ended = false;
        try {
          producer.beginTransaction();
          note("b", serial);
          int records = 1 + random.nextInt(RECORDS_MAX);
          for (int i = 0; i < records; i++) {
            int partition = random.nextInt(partitions);
            long seq = seqs[partition]++;
            Load.note("s " + System.currentTimeMillis() + " " + name + " " + topic + " " + partition + " " + seq + " " + serial);
            producer.send(new ProducerRecord<>(topic, partition, null, valueOf(name, seq)), (done, error) -> {
              String what = " " + System.currentTimeMillis() + " " + name + " " + topic + " " + partition + " " + seq + " ";
              if (error == null) {
                acked.incrementAndGet();
                ackedAt.computeIfAbsent(topic + "/" + partition, k -> new AtomicLong()).incrementAndGet();
                Load.note("a" + what + done.offset());
              } else {
                Load.note("x" + what + reason(error)); // an abort does this to what has not left yet
              }
            });
            if (random.nextInt(4) == 0) pause(random.nextInt(30));
          }
          ended = random.nextInt(100) < abortPercent ? abort(serial) : commit(serial);
        } catch (KafkaException e) {
          Load.complain(name, e);
          ended = abort(serial);
        } catch (IllegalStateException e) {
          Load.complain(name, e);
        }
        if (!ended) {
          note("u", serial);
          producer.close(java.time.Duration.ZERO);
          open();
        }
        pause(random.nextInt(60));
      }
      producer.close(java.time.Duration.ofSeconds(30));
    }
  }
}
