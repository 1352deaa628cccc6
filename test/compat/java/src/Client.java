// The Java side of the client checks; lib.sh calls its verbs (see main). BOOTSTRAP names the broker.
// Record lines are those of make_input.ts. It consumes by assignment; in groups: GroupMembers, Transform.
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.BufferedOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.HashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Client {
  private static final HexFormat HEX = HexFormat.of();

  private Client() {}

  public static void main(String[] args) throws Exception {
    try {
      switch (args[0]) {
        case "create" -> create(Arrays.copyOfRange(args, 1, args.length));
        case "lines" -> lines(args[1], args[2], Path.of(args[3]), args.length > 4 && args[4].equals("idempotent"));
        case "cat" -> cat(args[1]);
        case "write" -> write(args[1], args[2], Path.of(args[3]));
        case "read" -> {
          for (String topic : Arrays.copyOfRange(args, 2, args.length)) read(Path.of(args[1]), topic);
        }
        case "one" -> one(args[1], Integer.parseInt(args[2]));
        case "members" -> GroupMembers.run();
        case "transform" -> Transform.run(Arrays.copyOfRange(args, 1, args.length));
        case "open" -> Transform.open(args[1], Integer.parseInt(args[2]), args[3]);
        case "tools" -> ToolHost.run();
        case "watch" -> Transform.watch(Arrays.asList(args).subList(1, args.length));
        case "show" -> Transform.show(args[1], args[2]);
        case "admin" -> System.exit(new AdminChecks(args[1]).run() ? 0 : 1);
        default -> throw new IllegalArgumentException("verb " + args[0]);
      }
    } catch (ExecutionException e) {
      System.err.println(e.getCause());
      System.exit(2);
    } catch (Exception e) {
      System.err.println(e);
      System.exit(2);
    }
    System.exit(0);
  }

  static Map<String, Object> common() {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
    config.put("client.id", "compat-java");
    String user = System.getenv("SASL_USER");
    if (user != null) { // see test/compat/sasl
      config.put("security.protocol", "SASL_PLAINTEXT");
      config.put("sasl.mechanism", "PLAIN");
      config.put("sasl.jaas.config", "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"" + user
          + "\" password=\"" + System.getenv("SASL_PASSWORD") + "\";");
    }
    return config;
  }

  static KafkaProducer<byte[], byte[]> producer(String codec, boolean idempotent) {
    Map<String, Object> config = common();
    config.put("compression.type", codec);
    config.put("acks", "all");
    config.put("enable.idempotence", idempotent);
    config.put("max.in.flight.requests.per.connection", idempotent ? 5 : 1);
    config.put("linger.ms", 5);
    config.put("batch.size", 256 * 1024);
    config.put("max.request.size", 8 << 20);
    return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
  }

  private static void create(String[] args) throws Exception {
    Map<String, String> configs = new HashMap<>();
    for (String kv : Arrays.copyOfRange(args, 2, args.length)) configs.put(kv.split("=")[0], kv.split("=")[1]);
    try (Admin admin = Admin.create(common())) {
      admin.createTopics(List.of(new NewTopic(args[0], Integer.parseInt(args[1]), (short) 1).configs(configs))).all().get();
    }
  }

  private static void lines(String topic, String codec, Path file, boolean idempotent) throws Exception {
    AtomicReference<Exception> failed = new AtomicReference<>();
    try (KafkaProducer<byte[], byte[]> producer = producer(codec, idempotent);
        BufferedReader in = Files.newBufferedReader(file)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        producer.send(new ProducerRecord<>(topic, 0, null, line.getBytes(StandardCharsets.UTF_8)), (m, e) -> {
          if (e != null) failed.compareAndSet(null, e);
        });
      }
      producer.flush();
    }
    if (failed.get() != null) throw failed.get();
  }

  interface Each {
    void record(ConsumerRecord<byte[], byte[]> record) throws IOException;
  }

  /** Hands over partition 0 from its start to its end as of now; offsets have to be without gaps. */
  static void scan(String topic, Each each) throws Exception {
    Map<String, Object> config = common();
    config.put("auto.offset.reset", "none");
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      long next = consumer.beginningOffsets(List.of(partition)).get(partition);
      consumer.seek(partition, next);
      while (next < end) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          if (record.offset() != next) throw new IllegalStateException("offset " + record.offset() + " where " + next + " was expected");
          next++;
          each.record(record);
        }
      }
    }
  }

  private static void cat(String topic) throws Exception {
    try (OutputStream out = new BufferedOutputStream(System.out, 1 << 20)) {
      scan(topic, record -> {
        out.write(record.value());
        out.write('\n');
      });
    }
  }

  private static byte[] unhex(String text) {
    return text.equals("-") ? null : HEX.parseHex(text);
  }

  private static String hex(byte[] data) {
    return data == null ? "-" : HEX.formatHex(data);
  }

  private static void write(String topic, String codec, Path file) throws Exception {
    AtomicReference<Exception> failed = new AtomicReference<>();
    try (KafkaProducer<byte[], byte[]> producer = producer(codec, false)) {
      for (String line : Files.readAllLines(file, StandardCharsets.US_ASCII)) {
        String[] fields = line.split("\t", -1);
        List<Header> headers = new ArrayList<>();
        if (!fields[2].isEmpty()) {
          for (String header : fields[2].split(",")) {
            String[] pair = header.split("=", -1);
            headers.add(new RecordHeader(new String(unhex(pair[0]), StandardCharsets.UTF_8), unhex(pair[1])));
          }
        }
        producer.send(new ProducerRecord<>(topic, 0, unhex(fields[0]), unhex(fields[1]), headers), (m, e) -> {
          if (e != null) failed.compareAndSet(null, e);
        });
      }
      producer.flush();
    }
    if (failed.get() != null) throw failed.get();
  }

  private static void read(Path folder, String topic) throws Exception {
    try (BufferedWriter out = Files.newBufferedWriter(folder.resolve(topic + ".tsv"))) {
      scan(topic, record -> {
        out.write(hex(record.key()) + "\t" + hex(record.value()) + "\t");
        String comma = "";
        for (Header header : record.headers()) {
          out.write(comma + hex(header.key().getBytes(StandardCharsets.UTF_8)) + "=" + hex(header.value()));
          comma = ",";
        }
        out.write("\n");
      });
    }
  }

  private static void one(String topic, int size) throws Exception {
    try (KafkaProducer<byte[], byte[]> producer = producer("none", false)) {
      System.out.println(producer.send(new ProducerRecord<>(topic, 0, null, new byte[size])).get().offset());
    }
  }
}
