// The admin calls of Java's client, one printed line for each: "ok name" or "not ok name why".
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

final class AdminChecks {
  private final String topic;
  private boolean good = true;
  private Uuid id = Uuid.ZERO_UUID;

  AdminChecks(String topic) {
    this.topic = topic;
  }

  interface Step {
    void run() throws Exception;
  }

  private void step(String name, Step step) {
    try {
      step.run();
      System.out.println("ok " + name);
    } catch (Exception e) {
      good = false;
      System.out.println("not ok " + name + " " + String.valueOf(e instanceof ExecutionException ? e.getCause() : e).replace('\n', ' '));
    }
  }

  private static void is(boolean holds, Object what) {
    if (!holds) throw new IllegalStateException(String.valueOf(what));
  }

  private static void refused(Class<? extends Exception> with, Callable<?> call) throws Exception {
    try {
      call.call();
    } catch (ExecutionException e) {
      is(with.isInstance(e.getCause()), "refused with " + e.getCause() + ", not " + with.getSimpleName());
      return;
    }
    throw new IllegalStateException("accepted, where " + with.getSimpleName() + " was expected");
  }

  private static void await(Callable<Boolean> holds, String what) throws Exception {
    for (int i = 0; i < 250; i++) {
      if (holds.call()) return;
      Thread.sleep(20);
    }
    throw new IllegalStateException(what);
  }

  boolean run() {
    try (Admin admin = Admin.create(Client.common())) {
      topics(admin);
      configs(admin);
      offsets(admin);
      cluster(admin);
      deletion(admin);
    }
    return good;
  }

  private void topics(Admin admin) {
    step("admin_create_topic", () -> {
      CreateTopicsResult created = admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "3600000"))));
      created.all().get();
      id = created.topicId(topic).get();
      is(!id.equals(Uuid.ZERO_UUID) && created.numPartitions(topic).get() == 3 && created.replicationFactor(topic).get() == 1, created);
      is(created.config(topic).get().get("retention.ms").value().equals("3600000"), created.config(topic).get());
    });
    step("admin_create_refusals", () -> {
      refused(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get());
      refused(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("bad name/" + topic, 1, (short) 1))).all().get());
      refused(InvalidPartitionsException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-p", 0, (short) 1))).all().get());
      refused(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-r", 1, (short) 2))).all().get());
      refused(InvalidConfigurationException.class, () -> admin.createTopics(List.of(new NewTopic(topic + "-c", 1, (short) 1).configs(Map.of("no.such.config", "1")))).all().get());
    });
    step("admin_describe_topic", () -> {
      TopicDescription byName = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
      is(byName.partitions().size() == 3 && byName.topicId().equals(id) && !byName.isInternal() && byName.partitions().get(2).leader().id() >= 0, byName);
      TopicDescription byId = admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id);
      is(byId.name().equals(topic), byId);
      refused(UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of(topic + "-none")).allTopicNames().get());
      is(admin.listTopics().names().get().contains(topic), "not in the list of topics");
    });
    step("admin_create_partitions", () -> {
      admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
      await(() -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 5, "not 5 partitions");
      refused(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
    });
  }

  private ConfigEntry config(Admin admin, String name) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
    return config.get(name);
  }

  private void alter(Admin admin, AlterConfigOp.OpType op, String name, String value) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    Collection<AlterConfigOp> ops = List.of(new AlterConfigOp(new ConfigEntry(name, value), op));
    admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
  }

  private void configs(Admin admin) {
    step("admin_describe_configs", () -> {
      ConfigEntry set = config(admin, "retention.ms");
      is(set.value().equals("3600000") && set.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, set);
      ConfigEntry other = config(admin, "max.message.bytes");
      is(other.value().equals("1048588") && other.isDefault() && other.type() == ConfigEntry.ConfigType.INT, other);
      String node = String.valueOf(admin.describeCluster().nodes().get().iterator().next().id());
      ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
      Config config = admin.describeConfigs(List.of(broker)).all().get().get(broker);
      is(config.get("message.max.bytes") != null && config.get("message.max.bytes").value().equals("1048588"), "message.max.bytes of the broker");
    });
    step("admin_incremental_alter_configs", () -> {
      alter(admin, AlterConfigOp.OpType.SET, "max.message.bytes", "5000");
      await(() -> config(admin, "max.message.bytes").value().equals("5000"), "not altered");
      alter(admin, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact");
      await(() -> config(admin, "cleanup.policy").value().contains("compact"), "not appended");
      alter(admin, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "compact");
      await(() -> config(admin, "cleanup.policy").value().equals("delete"), "not subtracted");
      alter(admin, AlterConfigOp.OpType.DELETE, "max.message.bytes", "");
      await(() -> config(admin, "max.message.bytes").isDefault(), "not back at the default");
      refused(InvalidConfigurationException.class, () -> {
        alter(admin, AlterConfigOp.OpType.SET, "max.message.bytes", "many");
        return null;
      });
    });
  }

  private void offsets(Admin admin) {
    TopicPartition partition = new TopicPartition(topic, 0);
    long base = System.currentTimeMillis() / 1000 * 1000 - 60_000;
    step("admin_list_offsets_by_time", () -> {
      try (KafkaProducer<byte[], byte[]> producer = Client.producer("none", true)) {
        for (int i = 0; i < 5; i++) producer.send(new ProducerRecord<>(topic, 0, base + i * 1000L, null, new byte[] {(byte) i})).get();
      }
      long[][] cases = {{base, 0}, {base + 1500, 2}, {base + 4000, 4}, {base + 4001, -1}};
      for (long[] c : cases) {
        long got = admin.listOffsets(Map.of(partition, OffsetSpec.forTimestamp(c[0]))).all().get().get(partition).offset();
        is(got == c[1], "at " + (c[0] - base) + " ms: offset " + got + ", not " + c[1]);
      }
      is(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).all().get().get(partition).offset() == 4, "max timestamp");
      is(admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all().get().get(partition).offset() == 0, "earliest");
      is(admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition).offset() == 5, "latest");
      is(admin.listOffsets(Map.of(partition, OffsetSpec.earliestLocal())).all().get().get(partition).offset() == 0, "earliest local");
      Map<String, Object> config = Client.common();
      try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
        OffsetAndTimestamp at = consumer.offsetsForTimes(Map.of(partition, base + 2500)).get(partition);
        is(at.offset() == 3 && at.timestamp() == base + 3000, at);
      }
    });
    step("admin_describe_producers", () -> {
      List<ProducerState> states = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
      is(states.size() == 1 && states.get(0).lastSequence() == 4, states);
    });
    step("admin_delete_records", () -> {
      is(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(3))).lowWatermarks().get(partition).get().lowWatermark() == 3, "low watermark");
      is(admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all().get().get(partition).offset() == 3, "earliest");
      refused(OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all().get());
      Map<String, Object> config = Client.common();
      config.put("auto.offset.reset", "none");
      try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
        consumer.assign(Set.of(partition));
        consumer.seek(partition, 1);
        try {
          consumer.poll(Duration.ofSeconds(10));
          throw new IllegalStateException("offset 1 was served");
        } catch (org.apache.kafka.clients.consumer.OffsetOutOfRangeException expected) {
          consumer.seekToBeginning(Set.of(partition));
          int records = 0;
          for (int i = 0; i < 20 && records < 2; i++) records += consumer.poll(Duration.ofMillis(500)).count();
          is(records == 2, records + " records after the deletion");
        }
      }
    });
  }

  private void cluster(Admin admin) {
    step("admin_describe_cluster", () -> {
      DescribeClusterResult cluster = admin.describeCluster();
      Node controller = cluster.controller().get();
      is(!cluster.clusterId().get().isEmpty() && cluster.nodes().get().size() == 1 && controller.id() == cluster.nodes().get().iterator().next().id(), controller);
    });
    step("admin_describe_log_dirs", () -> {
      int node = admin.describeCluster().nodes().get().iterator().next().id();
      long size = 0;
      for (LogDirDescription dir : admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).values()) {
        is(dir.error() == null, dir.error());
        if (dir.replicaInfos().containsKey(new TopicPartition(topic, 0))) size = dir.replicaInfos().get(new TopicPartition(topic, 0)).size();
      }
      is(size > 0, "no size of partition 0");
    });
  }

  private void deletion(Admin admin) {
    step("admin_delete_topic", () -> {
      admin.deleteTopics(List.of(topic)).all().get();
      await(() -> !admin.listTopics().names().get().contains(topic), "still in the list");
      refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
    });
    step("admin_delete_topic_by_id", () -> {
      CreateTopicsResult created = admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1)));
      created.all().get();
      Uuid again = created.topicId(topic).get();
      is(!again.equals(id), "the same topic id as before");
      admin.deleteTopics(TopicCollection.ofTopicIds(List.of(again))).all().get();
      await(() -> !admin.listTopics().names().get().contains(topic), "still in the list");
    });
  }
}
