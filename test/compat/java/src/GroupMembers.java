// Members of consumer groups, many in one JVM, led by lines on standard input: test/compat/groups/host.ts has the words.
// Each member is a thread with a KafkaConsumer of its own; what it owns and reads is printed, one line a fact.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

final class GroupMembers {
  private static final Map<String, String> ASSIGNORS = Map.of(
      "range", "org.apache.kafka.clients.consumer.RangeAssignor",
      "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
      "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
      "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

  private GroupMembers() {}

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  static void run() throws Exception {
    Map<String, Member> members = new ConcurrentHashMap<>();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      if (words[0].equals("join")) {
        Map<String, String> options = new HashMap<>();
        for (int i = 2; i < words.length; i++) options.put(words[i].split("=", 2)[0], words[i].split("=", 2)[1]);
        Member member = new Member(words[1], options);
        members.put(words[1], member);
        member.start();
      } else if (words[0].equals("leave")) {
        members.remove(words[1]).leave();
      } else {
        throw new IllegalArgumentException(line);
      }
    }
  }

  private static final class Member extends Thread implements ConsumerRebalanceListener {
    private final String name;
    private final Map<String, String> options;
    private final TreeSet<Integer> owned = new TreeSet<>();
    private final KafkaConsumer<byte[], byte[]> consumer;
    private volatile boolean isLeaving;

    Member(String name, Map<String, String> options) {
      this.name = name;
      this.options = options;
      boolean classic = !options.getOrDefault("protocol", "classic").equals("consumer");
      Map<String, Object> config = Client.common();
      config.put("client.id", name);
      config.put("group.id", options.get("group"));
      config.put("group.protocol", classic ? "classic" : "consumer");
      if (classic) {
        config.put("session.timeout.ms", Integer.parseInt(options.get("session")));
        config.put("heartbeat.interval.ms", Integer.parseInt(options.get("heartbeat")));
        config.put("partition.assignment.strategy", ASSIGNORS.get(options.getOrDefault("assignor", "range")));
      } else if (options.containsKey("assignor")) {
        config.put("group.remote.assignor", options.get("assignor"));
      }
      if (options.containsKey("instance")) config.put("group.instance.id", options.get("instance"));
      config.put("auto.offset.reset", "earliest");
      config.put("metadata.max.age.ms", 1000);
      config.put("retry.backoff.ms", 20);
      config.put("enable.auto.commit", !options.getOrDefault("commit", "auto").equals("manual"));
      config.put("auto.commit.interval.ms", 200);
      consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    void leave() {
      isLeaving = true;
    }

    private void sayOwned() {
      String all = owned.stream().map(String::valueOf).collect(Collectors.joining(","));
      say("assigned " + name + " " + (all.isEmpty() ? "-" : all));
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      for (TopicPartition each : partitions) owned.add(each.partition());
      sayOwned();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      for (TopicPartition each : partitions) owned.remove(each.partition());
      sayOwned();
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
      for (TopicPartition each : partitions) owned.remove(each.partition());
      say("lost " + name);
      sayOwned();
    }

    @Override
    public void run() {
      boolean manual = options.getOrDefault("commit", "auto").equals("manual");
      try (consumer) {
        if (options.containsKey("pattern")) {
          // by the client in classic groups, by the broker (RE2J) in the others
          if (options.getOrDefault("protocol", "classic").equals("consumer")) {
            consumer.subscribe(new org.apache.kafka.clients.consumer.SubscriptionPattern(options.get("pattern")), this);
          } else {
            consumer.subscribe(Pattern.compile(options.get("pattern")), this);
          }
        } else {
          consumer.subscribe(List.of(options.get("topic")), this);
        }
        while (!isLeaving) {
          ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
          for (ConsumerRecord<byte[], byte[]> record : records) say("r " + name + " " + record.partition() + " " + record.offset());
          if (!manual || records.isEmpty()) continue;
          try {
            consumer.commitSync();
          } catch (RebalanceInProgressException rebalance) {
            // cooperative: the partitions are still ours, and the next poll brings the rebalance on
          }
        }
      } catch (WakeupException leaving) {
        // as it should be
      } catch (Exception e) {
        say("failed " + name + " " + e.toString().replace('\n', ' '));
      }
      say("left " + name);
    }
  }
}
