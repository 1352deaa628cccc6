// The load of the cluster checks, and what it saw: producers, transactions and consumer groups of the Java client in one JVM, led
// by lines on standard input, answered line by line. What happened is the history: scripts/cluster/history.ts has its lines.
// Invariant: a value says who wrote it and as which of its records, so that the history alone tells what a log must hold.
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;

public final class Load {
  /** Of complaints; what goes wrong for ten minutes says the same again and again. */
  private static final int NOTES_MAX = 300;
  /** That there are, and replicas of every topic, internal ones too. */
  private static final int BROKERS = 3;
  static final Map<String, Integer> topics = new TreeMap<>();
  static volatile long deliveryTimeoutMs = 600_000;
  private static int notes = 0;
  private static BufferedWriter history;

  private Load() {}

  static synchronized void say(String line) {
    System.out.println(line.replace('\n', ' '));
    System.out.flush();
  }

  static synchronized void complain(String who, Throwable error) {
    if (notes++ < NOTES_MAX) System.err.println(who + ": " + error);
  }

  /** A line of the history. */
  static void note(String line) {
    synchronized (history) {
      try {
        history.write(line);
        history.write('\n');
      } catch (IOException e) {
        System.err.println("the history cannot be written: " + e);
        Runtime.getRuntime().halt(3);
      }
    }
  }

  static Map<String, Object> common() {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", System.getenv("BOOTSTRAP"));
    config.put("metadata.max.age.ms", 5000);
    config.put("retry.backoff.ms", 50);
    config.put("retry.backoff.max.ms", 500);
    config.put("reconnect.backoff.ms", 50);
    config.put("reconnect.backoff.max.ms", 500);
    config.put("socket.connection.setup.timeout.ms", 1500);
    config.put("socket.connection.setup.timeout.max.ms", 3000);
    config.put("request.timeout.ms", 5000);
    config.put("default.api.timeout.ms", 60000);
    return config;
  }

  private static final List<Thread> producers = new ArrayList<>();
  private static final List<Thread> members = new ArrayList<>();
  private static final Set<String> groups = new TreeSet<>();

  public static void main(String[] args) throws Exception {
    history = Files.newBufferedWriter(Path.of(args[0]));
    try (Admin admin = Admin.create(common());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      say("up");
      for (String line = in.readLine(); line != null && !line.equals("quit"); line = in.readLine()) {
        String[] words = line.split(" ");
        try {
          say(words[0] + " " + answer(admin, words));
        } catch (ExecutionException e) {
          say(words[0] + " failed " + e.getCause());
        } catch (Exception e) {
          say(words[0] + " failed " + e);
        }
      }
    }
    history.close();
    Runtime.getRuntime().halt(0);
  }

  private static String answer(Admin admin, String[] words) throws Exception {
    switch (words[0]) {
      case "create" -> { // create TOPIC PARTITIONS FACTOR [name=value …]
        Map<String, String> configs = new HashMap<>();
        for (int i = 4; i < words.length; i++) configs.put(words[i].split("=")[0], words[i].split("=")[1]);
        int partitions = Integer.parseInt(words[2]);
        admin.createTopics(List.of(new NewTopic(words[1], partitions, Short.parseShort(words[3])).configs(configs))).all().get();
        topics.put(words[1], partitions);
        return "ok";
      }
      case "alter" -> { // alter TOPIC name=value
        ConfigEntry entry = new ConfigEntry(words[2].split("=")[0], words[2].split("=")[1]);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, words[1]);
        admin.incrementalAlterConfigs(Map.of(topic, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
        return "ok";
      }
      case "delivery" -> { // delivery MS: how long a write may take before it has failed, for producers from now on
        deliveryTimeoutMs = Long.parseLong(words[1]);
        return "ok";
      }
      case "producer" -> { // producer NAME TOPIC PER_SECOND [REQUESTS]: that may be under way at once (5)
        int requests = words.length > 4 ? Integer.parseInt(words[4]) : 5;
        return begin(producers, new Writers.Plain(words[1], words[2], Integer.parseInt(words[3]), requests));
      }
      case "transactor" -> { // transactor NAME TOPIC ABORT_PERCENT
        return begin(producers, new Writers.Transactor(words[1], words[2], Integer.parseInt(words[3])));
      }
      case "member" -> { // member NAME GROUP classic|consumer read_committed|read_uncommitted TOPIC…
        groups.add(words[2]);
        return begin(members, new Member(words[1], words[2], words[3], words[4], List.of(words).subList(5, words.length)));
      }
      case "group" -> { // group NAME TOPIC…: of members elsewhere, whose offsets count here
        groups.add(words[1]);
        Member.topicsOf.put(words[1], List.of(words).subList(2, words.length));
        return "ok";
      }
      case "count" -> {
        return "ok " + Writers.acked.get() + " " + Writers.failed.get() + " " + Member.seen.get();
      }
      case "progress" -> { // what was acknowledged, by partition, and read, by group and partition
        StringBuilder out = new StringBuilder("ok");
        Writers.ackedAt.forEach((at, count) -> out.append(' ').append(at).append('=').append(count));
        Member.seenAt.forEach((at, count) -> out.append(' ').append(at).append('=').append(count));
        return out.toString();
      }
      case "leaders" -> { // TOPIC:PARTITION=LEADER …
        StringBuilder out = new StringBuilder("ok");
        for (TopicDescription topic : admin.describeTopics(topics.keySet()).allTopicNames().get(4, TimeUnit.SECONDS).values()) {
          for (TopicPartitionInfo each : topic.partitions()) {
            out.append(' ').append(topic.name()).append(':').append(each.partition()).append('=').append(each.leader() == null ? -1 : each.leader().id());
          }
        }
        return out.toString();
      }
      case "brokers" -> { // ID=PORT …
        StringBuilder out = new StringBuilder("ok");
        for (Node each : admin.describeCluster().nodes().get()) out.append(' ').append(each.id()).append('=').append(each.port());
        return out.toString();
      }
      case "ids" -> { // TOPIC=ID …
        StringBuilder out = new StringBuilder("ok");
        for (TopicDescription topic : admin.describeTopics(topics.keySet()).allTopicNames().get().values()) {
          out.append(' ').append(topic.name()).append('=').append(topic.topicId());
        }
        return out.toString();
      }
      case "insync" -> { // insync MS [replicas|leaders]: also the first of the replicas leads
        return insync(admin, Long.parseLong(words[1]), words.length > 2 && words[2].equals("leaders"));
      }
      case "stop-producers" -> {
        return end(producers, Writers.isStopping) + " " + Writers.acked.get() + " " + Writers.failed.get();
      }
      case "drain" -> { // drain MS: every group has committed the end of every partition
        return drain(admin, Long.parseLong(words[1]));
      }
      case "stop-members" -> {
        return end(members, Member.isStopping);
      }
      case "read" -> { // what the cluster holds in the end
        return Reader.read(admin, groups);
      }
      default -> throw new IllegalArgumentException(words[0]);
    }
  }

  private static String begin(List<Thread> all, Thread thread) {
    all.add(thread);
    thread.start();
    return "ok";
  }

  private static String end(List<Thread> all, java.util.concurrent.atomic.AtomicBoolean flag) throws InterruptedException {
    flag.set(true);
    long until = System.currentTimeMillis() + 150_000;
    for (Thread each : all) {
      each.join(Math.max(1, until - System.currentTimeMillis()));
      if (each.isAlive()) return "failed " + each.getName() + " does not come to its end";
    }
    return "ok";
  }

  private static String insync(Admin admin, long withinMs, boolean leaders) throws Exception {
    long began = System.currentTimeMillis();
    String why;
    do {
      why = null;
      try {
        Set<String> names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get(5, TimeUnit.SECONDS);
        Map<Integer, Integer> led = new TreeMap<>();
        for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get(5, TimeUnit.SECONDS).values()) {
          for (TopicPartitionInfo each : topic.partitions()) {
            String name = topic.name() + "-" + each.partition();
            Node leader = each.leader();
            if (each.replicas().size() < BROKERS) why = name + " has " + each.replicas().size() + " replicas";
            else if (leader == null) why = name + " has no leader";
            else if (each.isr().size() < each.replicas().size()) why = name + " has " + each.isr().size() + " of " + each.replicas().size() + " in sync";
            else if (leaders && leader.id() != each.replicas().get(0).id()) why = name + " is led by " + leader.id() + ", not " + each.replicas().get(0).id();
            if (leader != null) led.merge(leader.id(), 1, Integer::sum);
          }
        }
        if (why == null) return "ok " + (System.currentTimeMillis() - began) + " " + led.toString().replace(" ", "");
      } catch (ExecutionException | java.util.concurrent.TimeoutException e) {
        why = String.valueOf(e.getCause() == null ? e : e.getCause());
      }
      Thread.sleep(100);
    } while (System.currentTimeMillis() - began < withinMs);
    return "failed after " + withinMs + " ms: " + why;
  }

  private static String drain(Admin admin, long withinMs) throws Exception {
    long began = System.currentTimeMillis();
    String why;
    do {
      why = null;
      Map<TopicPartition, OffsetSpec> all = new HashMap<>();
      topics.forEach((topic, count) -> {
        for (int i = 0; i < count; i++) all.put(new TopicPartition(topic, i), OffsetSpec.latest());
      });
      try {
        var ends = admin.listOffsets(all, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get(10, TimeUnit.SECONDS);
        for (String group : groups) {
          var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(10, TimeUnit.SECONDS);
          for (var end : ends.entrySet()) {
            OffsetAndMetadata at = committed.get(end.getKey());
            if (Member.reads(group, end.getKey().topic()) && end.getValue().offset() > 0 && (at == null || at.offset() < end.getValue().offset())) {
              why = group + " is at " + (at == null ? "nothing" : at.offset()) + " of " + end.getValue().offset() + " in " + end.getKey();
            }
          }
        }
      } catch (ExecutionException | java.util.concurrent.TimeoutException e) {
        why = String.valueOf(e.getCause() == null ? e : e.getCause());
      }
      if (why == null) return "ok " + (System.currentTimeMillis() - began);
      Thread.sleep(200);
    } while (System.currentTimeMillis() - began < withinMs);
    return "failed after " + withinMs + " ms: " + why;
  }

  /** Reads everything there is, twice, and where the groups are: lines F, E, Z, G of the history. */
  static final class Reader {
    private Reader() {}

    static String read(Admin admin, Set<String> groups) throws Exception {
      long records = read("F", "read_uncommitted") + read("E", "read_committed");
      for (String group : groups) {
        for (var each : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet()) {
          if (each.getValue() != null) note("G " + group + " " + each.getKey().topic() + " " + each.getKey().partition() + " " + each.getValue().offset());
        }
      }
      synchronized (history) {
        history.flush();
      }
      return "ok " + records;
    }

    private static long read(String kind, String isolation) {
      Map<String, Object> config = common();
      config.put("isolation.level", isolation);
      config.put("auto.offset.reset", "none");
      long count = 0;
      try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
        List<TopicPartition> all = new ArrayList<>();
        topics.forEach((topic, partitions) -> {
          for (int i = 0; i < partitions; i++) all.add(new TopicPartition(topic, i));
        });
        consumer.assign(all);
        consumer.seekToBeginning(all);
        Map<TopicPartition, Long> ends = consumer.endOffsets(all);
        ends.forEach((at, end) -> note("Z " + kind + " " + at.topic() + " " + at.partition() + " " + end));
        Collection<TopicPartition> left = new ArrayList<>(all);
        long until = System.currentTimeMillis() + 300_000;
        while (!left.isEmpty()) {
          if (System.currentTimeMillis() > until) throw new IllegalStateException("reading did not end: " + left);
          for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
            count++;
            note(kind + " " + record.topic() + " " + record.partition() + " " + record.offset() + " " + Writers.nameOf(record.value()));
          }
          left.removeIf(at -> consumer.position(at) >= ends.get(at));
        }
      }
      return count;
    }
  }
}
