// Kafka's own client as other programs use it: strings in, strings out, nothing of ours.
//   produce SERVERS TOPIC           one record per line of stdin: HEADERS<TAB>VALUE, HEADERS "-" or "name=value"
//   consume SERVERS TOPIC GROUP N   the first N records as KEY<TAB>VALUE
//   create SERVERS TOPIC            a topic of theirs
//   raise SERVERS N TOPIC...        to N partitions, as kafka-topics.sh --alter does
//   remake SERVERS N TOPIC          deleted and at once there again, with N partitions
//   set SERVERS NAME VALUE TOPIC    a setting of it, as kafka-configs.sh --alter does
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class KafkaPlain {
    static void produce(Properties p, String topic) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (String line; (line = in.readLine()) != null; ) {
                String[] parts = line.split("\t", 2);
                ProducerRecord<String, String> r = new ProducerRecord<>(topic, parts[1]);
                if (!parts[0].equals("-")) {
                    String[] header = parts[0].split("=", 2);
                    r.headers().add(header[0], header[1].getBytes(StandardCharsets.UTF_8));
                }
                producer.send(r).get();
            }
        }
    }

    static void consume(Properties p, String topic, String group, int n) {
        p.put("group.id", group);
        p.put("auto.offset.reset", "earliest");
        long end = System.currentTimeMillis() + 60000;
        try (KafkaConsumer<String, String> consumer =
                 new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (n > 0 && System.currentTimeMillis() < end)
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
                    System.out.println(r.key() + "\t" + r.value());
                    n--;
                }
        }
    }

    static void create(Properties p, String topic) throws Exception {
        try (Admin admin = Admin.create(p)) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
        }
    }

    static void raise(Properties p, String[] a) throws Exception {
        Map<String, NewPartitions> more = new HashMap<>();
        for (int i = 3; i < a.length; i++)
            more.put(a[i], NewPartitions.increaseTo(Integer.parseInt(a[2])));
        try (Admin admin = Admin.create(p)) {
            admin.createPartitions(more).all().get();
        }
    }

    static void remake(Properties p, int n, String topic) throws Exception {
        try (Admin admin = Admin.create(p)) {
            admin.deleteTopics(List.of(topic)).all().get();
            for (int left = 500; ; left--)
                try {
                    admin.createTopics(List.of(new NewTopic(topic, n, (short) 1))).all().get();
                    return;
                } catch (ExecutionException e) { // it may still be going
                    if (!(e.getCause() instanceof TopicExistsException) || left == 0)
                        throw e;
                    Thread.sleep(10);
                }
        }
    }

    static void set(Properties p, String name, String value, String topic) throws Exception {
        ConfigEntry entry = new ConfigEntry(name, value);
        try (Admin admin = Admin.create(p)) {
            admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic),
                List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
        }
    }

    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", a[1]);
        if (a[0].equals("produce"))
            produce(p, a[2]);
        else if (a[0].equals("create"))
            create(p, a[2]);
        else if (a[0].equals("raise"))
            raise(p, a);
        else if (a[0].equals("remake"))
            remake(p, Integer.parseInt(a[2]), a[3]);
        else if (a[0].equals("set"))
            set(p, a[2], a[3], a[4]);
        else
            consume(p, a[2], a[3], Integer.parseInt(a[4]));
    }
}
