import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.util.Iterator;
import java.util.List;

import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.StreamingQueryListener;
import org.apache.spark.sql.streaming.Trigger;

/**
 * A streaming app in the place of Chronon's Driver, compiled and run by the compiler among Spark's
 * jars. It copies a Kafka topic into a Redis list, prints what the Driver's listener prints, and has a
 * thread that is no daemon, as the Driver's pools have: its process outlives its query.
 *
 * Arguments: the broker, the topic, the port of Redis.
 */
public class StreamApp {
    public static void main(String[] args) throws Exception {
        final String topic = args[1];
        final int redis = Integer.parseInt(args[2]);
        new Thread(new Runnable() {
            public void run() {
                try {
                    Thread.sleep(3600000L);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }).start();
        SparkSession session = SparkSession.builder()
            .appName(System.getenv("APP_NAME"))
            .master("local[1]")
            .config("spark.ui.enabled", "false")
            .getOrCreate();
        session.streams().addListener(new StreamingQueryListener() {
            public void onQueryStarted(StreamingQueryListener.QueryStartedEvent event) {
                System.out.println("Query started: " + event.id());
            }
            public void onQueryProgress(StreamingQueryListener.QueryProgressEvent event) {
                System.out.println("Query made progress: " + event.progress());
            }
            public void onQueryTerminated(StreamingQueryListener.QueryTerminatedEvent event) {
                System.out.println("Query terminated: " + event.id());
            }
        });
        VoidFunction2 write = new VoidFunction2() {
            public void call(Object rows, Object batch) throws Exception {
                List values = ((Dataset) rows).collectAsList();
                for (Iterator i = values.iterator(); i.hasNext();) {
                    push(redis, topic, ((Row) i.next()).getString(0));
                }
            }
        };
        StreamingQuery query = session.readStream().format("kafka")
            .option("kafka.bootstrap.servers", args[0])
            .option("subscribe", topic)
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", "50")
            .option("kafka.request.timeout.ms", "5000")
            .option("kafka.default.api.timeout.ms", "8000")
            .load()
            .selectExpr(new String[] {"CAST(value AS STRING)"})
            .writeStream()
            .trigger(Trigger.ProcessingTime(500L))
            .foreachBatch(write)
            .start();
        query.awaitTermination();
    }

    static void push(int port, String list, String value) throws Exception {
        Socket socket = new Socket("127.0.0.1", port);
        try {
            OutputStream out = socket.getOutputStream();
            out.write(("*3\r\n$5\r\nRPUSH\r\n$" + list.length() + "\r\n" + list + "\r\n$"
                + value.getBytes("UTF-8").length + "\r\n" + value + "\r\n").getBytes("UTF-8"));
            out.flush();
            InputStream in = socket.getInputStream();
            if (in.read() != ':') {
                throw new IllegalStateException("Redis does not take " + value);
            }
        } finally {
            socket.close();
        }
    }
}
