import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.execution.HiveResult;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.SQLExecution;

/**
 * One Spark application that runs scripts side by side, each in a SparkSession of its own.
 *
 * Compiled at start by the Janino compiler that is among Spark's jars (so: no lambdas, no
 * generics). Arguments: the state file, which is written with the port, a token and the process id once
 * the host listens, readable by its owner only; and, of a host that outlives the command that started
 * it, how many milliseconds it stays without a connection, and the process id of that command, with which
 * it ends if it was never used. Without these it ends when its standard input ends.
 *
 * A connection is one script. The client sends frames (a length in four bytes, then UTF-8): the
 * token, the number of fields, and each field's name and value. It is answered by frames with a
 * type: 'o' output to be written to the script's log; 'k' the script ran to its end; 'f' it did
 * not. A client that closes its side cancels the script: its Spark jobs are cancelled, no new one
 * begins, and the answer comes when its thread has left Spark.
 *
 * The field "ask" makes a connection without a script: "hold" keeps the host until it is closed, and is
 * answered by 'f' if the host uses another metastore; "status" is answered by a line about the host. A
 * client that ends in order sends a byte before it closes a "hold". Without it the client was killed or
 * interrupted, and a host that outlives its starter ends with it, as soon as no other client has it.
 */
public class SessionHost {
    private static final String PROPERTY = "chronon.run.script";
    private static final ThreadLocal CURRENT = new ThreadLocal();
    private static final Map SCRIPTS = new ConcurrentHashMap();
    private static final Map CANCELLED = new ConcurrentHashMap();
    private static final Object START = new Object();
    /** Wide confs make deep plans. */
    private static final long STACK = 64L << 20;
    private static final long TICK = 100L;
    private static final long SHOWN_AFTER = 500L;
    /** So many characters of a statement are shown with its time. */
    private static final int HEAD = 100;
    private static PrintStream out;
    private static PrintStream err;
    private static volatile SparkSession base;
    private static volatile String metastore;
    private static int numbers;
    private static int connections;
    private static int asked;
    /** How long there was no connection, and how long there may be none, in milliseconds. */
    private static volatile long idle;
    private static volatile long idleLimit;
    /** Whether a client has held this host, and whether one has gone without a word. */
    private static volatile boolean held;
    private static volatile boolean abandoned;

    public static void main(String[] args) throws Exception {
        out = System.out;
        err = System.err;
        System.setOut(new PrintStream(new Router(out), true, "UTF-8"));
        System.setErr(new PrintStream(new Router(err), true, "UTF-8"));
        byte[] random = new byte[16];
        new SecureRandom().nextBytes(random);
        StringBuffer token = new StringBuffer();
        for (int i = 0; i < random.length; i++) {
            token.append(Integer.toHexString((random[i] & 0xff) + 0x100).substring(1));
        }
        ServerSocket socket = new ServerSocket();
        socket.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 64);
        State state = new State(new File(args[0]), socket.getLocalPort(), token.toString());
        state.announce();
        boolean kept = args.length > 1;
        Thread life = kept
            ? new Thread(new Idle(state, Long.parseLong(args[1]), args[2]), "idle")
            : new Thread(new Owner(), "owner");
        life.setDaemon(true);
        life.start();
        Thread accepting = new Thread(new Accepting(socket, token.toString()), "accepting");
        accepting.start();
        Thread warming = new Thread(new Warming(), "warming");
        warming.setDaemon(true);
        warming.start();
        useLocal();
        try {
            SparkSession session = SparkSession.builder().enableHiveSupport().getOrCreate();
            SparkSession.clearActiveSession();
            session.sparkContext().addSparkListener(new Watching(session.sparkContext()));
            synchronized (START) {
                base = session;
                START.notifyAll();
            }
        } catch (Throwable error) {
            error.printStackTrace(err);
            err.flush();
            Runtime.getRuntime().halt(1);
        }
        accepting.join();
    }

    /**
     * Loads classes that every script needs, beside the start of Spark. Its thread was started before the
     * session, so it has none: else it would create the shared state, which keeps the metastore's
     * address of that moment, before that is known.
     */
    private static class Warming implements Runnable {
        private static final String[] NAMES = {
            "org.apache.spark.sql.catalyst.parser.SqlBaseParser",
            "org.apache.spark.sql.catalyst.parser.SqlBaseLexer",
            "org.apache.spark.sql.hive.client.HiveClientImpl",
            "org.apache.hadoop.hive.metastore.HiveMetaStoreClient",
            "org.apache.hadoop.hive.ql.metadata.Hive"};

        public void run() {
            for (int i = 0; i < NAMES.length; i++) {
                try {
                    Class.forName(NAMES[i], true, Thread.currentThread().getContextClassLoader());
                } catch (Throwable absent) {
                    // Another Spark has other classes; the scripts load their own.
                }
            }
        }
    }

    /**
     * Makes {@link Local} the file system of local paths for everything in this process: Hadoop keeps one for each
     * scheme and user, and asks for its class only the first time. It is left out where the user has chosen one.
     */
    private static void useLocal() {
        String key = "fs.file.impl";
        try {
            Configuration conf = new Configuration();
            if (System.getProperty("spark.hadoop." + key) != null || conf.get(key) != null) {
                return;
            }
            conf.setClassLoader(SessionHost.class.getClassLoader());
            conf.setClass(key, Local.class, FileSystem.class);
            FileSystem.get(URI.create("file:///"), conf);
        } catch (Throwable other) {
            err.println("files are written with Hadoop's own file system: " + other);
        }
    }

    /**
     * Hadoop's local file system, which starts a process (chmod) for each file and folder that it creates if it lacks
     * its native library: 700 for a join of four parts and 15 days.
     */
    public static class Local extends LocalFileSystem {
        public Local() {
            super(new Raw());
        }
    }

    /** Sets permissions without a process, where Java can. */
    public static class Raw extends RawLocalFileSystem {
        public void setPermission(Path path, FsPermission permission) throws IOException {
            if (permission.getStickyBit()) {
                super.setPermission(path, permission);
                return;
            }
            String letters = permission.getUserAction().SYMBOL + permission.getGroupAction().SYMBOL
                + permission.getOtherAction().SYMBOL;
            try {
                Files.setPosixFilePermissions(pathToFile(path).toPath(), PosixFilePermissions.fromString(letters));
            } catch (UnsupportedOperationException notPosix) {
                super.setPermission(path, permission);
            }
        }
    }

    /** The file that says where the host listens. */
    private static class State {
        private final File file;
        private final String text;

        State(File file, int port, String token) throws IOException {
            this.file = file;
            String pid = new File("/proc/self").getCanonicalFile().getName();
            text = port + " " + token + " " + (pid.equals("self") ? "0" : pid) + "\n";
        }

        /** Written under another name first, so that a client never reads half of it. */
        void announce() throws IOException {
            File draft = new File(file.getPath() + ".new");
            draft.delete();
            Files.createFile(draft.toPath(), new FileAttribute[] {
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))});
            FileOutputStream stream = new FileOutputStream(draft);
            stream.write(text.getBytes("UTF-8"));
            stream.close();
            if (!draft.renameTo(file)) {
                throw new IOException("cannot write " + file);
            }
        }

        boolean isOurs() {
            try {
                return new String(Files.readAllBytes(file.toPath()), "UTF-8").equals(text);
            } catch (IOException gone) {
                return false;
            }
        }
    }

    /**
     * Ends a host that outlives its starter: when it had no connection for a while, for a second if its end is
     * requested by a file beside its state file, or at all after a client has gone without a word; and at
     * once, whoever uses it, when its state file is gone or another host's: then its folder was removed or
     * moved.
     */
    private static class Idle implements Runnable {
        private final State state;
        private final File endRequest;
        private final File starter;

        Idle(State state, long limit, String starter) {
            this.state = state;
            this.starter = new File("/proc", starter);
            idleLimit = limit;
            endRequest = new File(state.file.getPath() + ".end");
        }

        public void run() {
            try {
                long since = System.nanoTime();
                boolean checked = true;
                while (true) {
                    pause();
                    if (!state.isOurs()) {
                        Runtime.getRuntime().halt(0);
                    }
                    boolean left = isLeft();
                    if (connections(0) > 0 || base == null && !left) {
                        since = System.nanoTime();
                        checked = false;
                        idle = 0L;
                        continue;
                    }
                    idle = (System.nanoTime() - since) / 1000000L;
                    boolean full = !checked && idle > 2000L && isFull();
                    checked = checked || idle > 2000L;
                    if (!full && !left && idle < (endRequest.exists() ? Math.min(idleLimit, 1000L) : idleLimit)) {
                        continue;
                    }
                    // A client believes in its connection only if the state file is still there
                    // afterwards: so remove it first, then look once more.
                    state.file.delete();
                    if (connections(0) == 0) {
                        end();
                    }
                    state.announce();
                }
            } catch (Throwable error) {
                error.printStackTrace(err);
                err.flush();
                Runtime.getRuntime().halt(1);
            }
        }

        /** In order, but not for longer than a while: Spark may be in the middle of its start. */
        private static void end() {
            Thread halting = new Thread(new Halting(), "halting");
            halting.setDaemon(true);
            halting.start();
            System.exit(0);
        }

        /** Whether a client has gone without a word, be it before the first use. */
        private boolean isLeft() {
            return abandoned || !held && starter.getParentFile().exists() && !starter.exists();
        }

        /** Whether most of the memory is used by what scripts have left behind: a new host is better then. */
        private static boolean isFull() {
            Runtime runtime = Runtime.getRuntime();
            if (runtime.totalMemory() - runtime.freeMemory() < runtime.maxMemory() / 10 * 6) {
                return false;
            }
            System.gc();
            return runtime.totalMemory() - runtime.freeMemory() > runtime.maxMemory() / 10 * 6;
        }
    }

    private static class Halting implements Runnable {
        public void run() {
            for (int i = 0; i < 100; i++) {
                pause();
            }
            Runtime.getRuntime().halt(0);
        }
    }

    /** How many connections there are after this change. */
    private static synchronized int connections(int change) {
        connections += change;
        return connections;
    }

    /** Ends the host when the process at the other end of its standard input has gone. */
    private static class Owner implements Runnable {
        public void run() {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException gone) {
                // As if it had ended.
            }
            // Scripts that still run are dropped, as by a killed shell: no script's end is a success.
            Runtime.getRuntime().halt(0);
        }
    }

    private static class Accepting implements Runnable {
        private final ServerSocket socket;
        private final String token;

        Accepting(ServerSocket socket, String token) {
            this.socket = socket;
            this.token = token;
        }

        public void run() {
            while (true) {
                try {
                    Socket client = socket.accept();
                    client.setTcpNoDelay(true);
                    connections(1);
                    Thread serving = new Thread(null, new Script(client, token), "script", STACK);
                    serving.setDaemon(true);
                    serving.start();
                } catch (IOException failed) {
                    err.println("cannot accept: " + failed);
                    pause();
                }
            }
        }
    }

    private static void pause() {
        try {
            Thread.sleep(TICK);
        } catch (InterruptedException early) {
            // It is only a pause.
        }
    }

    /** What is printed while a script runs goes to the script's log. */
    private static class Router extends OutputStream {
        private final PrintStream host;

        Router(PrintStream host) {
            this.host = host;
        }

        public void write(int one) {
            write(new byte[] {(byte) one}, 0, 1);
        }

        public void write(byte[] bytes, int from, int length) {
            Script script = current();
            if (script == null || !script.output(bytes, from, length)) {
                host.write(bytes, from, length);
            }
        }

        public void flush() {
            host.flush();
        }
    }

    private static Script current() {
        Object own = CURRENT.get();
        if (own != null) {
            return (Script) own;
        }
        TaskContext task = TaskContext.get();
        String id = task == null ? null : task.getLocalProperty(PROPERTY);
        return id == null ? null : (Script) SCRIPTS.get(id);
    }

    private static Script of(Properties properties) {
        String id = properties == null ? null : properties.getProperty(PROPERTY);
        return id == null ? null : (Script) SCRIPTS.get(id);
    }

    /**
     * Whether a script that was just cancelled has left behind what begins this. Not for long: a thread of
     * a pool may carry the name of the script in which it began to work for others.
     */
    private static boolean wasCancelled(Properties properties) {
        String id = properties == null ? null : properties.getProperty(PROPERTY);
        Object since = id == null ? null : CANCELLED.get(id);
        return since != null && System.nanoTime() - ((Long) since).longValue() < 10000000000L;
    }

    /** Tells scripts of their jobs and stages. */
    private static class Watching extends SparkListener {
        private final SparkContext context;
        private final Map stages = new HashMap();

        Watching(SparkContext context) {
            this.context = context;
        }

        public void onJobStart(SparkListenerJobStart start) {
            Script script = of(start.properties());
            if (script == null) {
                if (wasCancelled(start.properties())) {
                    context.cancelJob(start.jobId());
                }
                return;
            }
            script.began(start.jobId());
        }

        public void onJobEnd(SparkListenerJobEnd end) {
            Iterator scripts = SCRIPTS.values().iterator();
            while (scripts.hasNext()) {
                ((Script) scripts.next()).ended(end.jobId());
            }
        }

        public void onStageSubmitted(SparkListenerStageSubmitted submitted) {
            Script script = of(submitted.properties());
            if (script != null) {
                Integer stage = Integer.valueOf(submitted.stageInfo().stageId());
                stages.put(stage, script);
                script.stage(stage, submitted.stageInfo().numTasks());
            }
        }

        public void onStageCompleted(SparkListenerStageCompleted completed) {
            Integer stage = Integer.valueOf(completed.stageInfo().stageId());
            Script script = (Script) stages.remove(stage);
            if (script != null) {
                script.stageOver(stage);
            }
        }

        public void onTaskStart(SparkListenerTaskStart start) {
            Integer stage = Integer.valueOf(start.stageId());
            Script script = (Script) stages.get(stage);
            if (script != null) {
                script.task(stage, 0, 1);
            }
        }

        public void onTaskEnd(SparkListenerTaskEnd end) {
            Integer stage = Integer.valueOf(end.stageId());
            Script script = (Script) stages.get(stage);
            if (script != null) {
                script.task(stage, 1, -1);
            }
        }
    }

    /** How far a stage is. */
    private static class Stage {
        final int tasks;
        final long since = System.nanoTime();
        int done;
        int running;

        Stage(int tasks) {
            this.tasks = tasks;
        }
    }

    /** One connection, and the script that it asks for. */
    private static class Script implements Runnable {
        private final Socket client;
        private final String token;
        private final String id = nextId();
        private final Set jobs = new HashSet();
        private final Map stages = new TreeMap();
        private final Map fields = new HashMap();
        private final Map settings = new TreeMap();
        private final List cached = new ArrayList();
        private DataOutputStream answers;
        private Thread thread;
        private String shown = "";
        /** Whether its connection keeps the host. */
        private boolean counted = true;
        private volatile boolean cancelled;
        private volatile boolean over;

        Script(Socket client, String token) {
            this.client = client;
            this.token = token;
        }

        public void run() {
            try {
                serve();
            } finally {
                if (counted) {
                    connections(-1);
                }
            }
        }

        private void serve() {
            boolean ok = false;
            try {
                DataInputStream in = new DataInputStream(new BufferedInputStream(client.getInputStream()));
                client.setSoTimeout(10000);
                if (!MessageDigest.isEqual(read(in).getBytes("UTF-8"), token.getBytes("UTF-8"))) {
                    client.close();
                    return;
                }
                readFields(in);
                client.setSoTimeout(0);
                answers = new DataOutputStream(client.getOutputStream());
                if (fields.containsKey("ask")) {
                    ok = answer(in);
                    return;
                }
                thread = Thread.currentThread();
                SCRIPTS.put(id, this);
                CURRENT.set(this);
                start(new Reading(this, in), "client of " + id);
                start(new Showing(this), "progress of " + id);
                ok = execute();
            } catch (Throwable error) {
                error.printStackTrace(System.err);
                if (error instanceof OutOfMemoryError) {
                    fatal(error);
                }
            } finally {
                finish(ok);
            }
        }

        /** A connection without a script. */
        private boolean answer(DataInputStream in) throws IOException {
            if (field("ask").equals("status")) {
                Runtime runtime = Runtime.getRuntime();
                counted = false;
                int users = connections(-1);
                print("users=" + users + " running=" + SCRIPTS.size()
                    + " scripts=" + asked + " idle=" + idle + " limit=" + idleLimit
                    + " heap=" + (runtime.totalMemory() - runtime.freeMemory()) + " most=" + runtime.maxMemory() + "\n");
                return true;
            }
            if (metastore != null && !metastore.equals(field("metastore")) && field("metastore").length() > 0) {
                return false;
            }
            held = true;
            frame('k', new byte[0], 0, 0);
            boolean inOrder = false;
            try {
                inOrder = in.read() >= 0 && in.read() < 0;
            } finally {
                abandoned = abandoned || !inOrder;
            }
            return true;
        }

        private void start(Runnable what, String name) {
            Thread started = new Thread(what, name);
            started.setDaemon(true);
            started.start();
        }

        private void readFields(DataInputStream in) throws IOException {
            int count = Integer.parseInt(read(in));
            for (int i = 0; i < count; i++) {
                String name = read(in);
                String value = read(in);
                if (name.startsWith("set:")) {
                    settings.put(name.substring(4), value);
                } else {
                    fields.put(name, value);
                }
            }
        }

        private static String read(DataInputStream in) throws IOException {
            int length = in.readInt();
            if (length < 0 || length > (16 << 20)) {
                throw new EOFException("a frame of " + length + " bytes");
            }
            byte[] bytes = new byte[length];
            in.readFully(bytes);
            return new String(bytes, "UTF-8");
        }

        private String field(String name) {
            Object value = fields.get(name);
            return value == null ? "" : (String) value;
        }

        /** False if nothing takes it any more. */
        boolean output(byte[] bytes, int from, int length) {
            return !over && frame('o', bytes, from, length);
        }

        private synchronized boolean frame(char type, byte[] bytes, int from, int length) {
            try {
                answers.writeByte(type);
                answers.writeInt(length);
                answers.write(bytes, from, length);
                answers.flush();
                return true;
            } catch (IOException gone) {
                return false;
            }
        }

        private void print(String text) throws IOException {
            byte[] bytes = text.getBytes("UTF-8");
            output(bytes, 0, bytes.length);
        }

        private boolean execute() throws Exception {
            SparkSession session = session();
            SparkContext context = session.sparkContext();
            context.setLocalProperty(PROPERTY, id);
            context.setLocalProperty("spark.scheduler.pool", "script-" + pool());
            context.setJobGroup(id, field("name"), true);
            Iterator keys = settings.keySet().iterator();
            while (keys.hasNext()) {
                String key = (String) keys.next();
                session.conf().set(key, (String) settings.get(key));
            }
            print("script begins\n");
            byte[] text = Files.readAllBytes(new File(field("script")).toPath());
            List statements = split(new String(text, "UTF-8"));
            try {
                for (int i = 0; i < statements.size() && !cancelled; i++) {
                    Statement statement = (Statement) statements.get(i);
                    boolean good = statement(session, statement.text, statement.label(i + 1, statements.size()));
                    if (!good && !field("lenient").equals("true")) {
                        return false;
                    }
                }
            } finally {
                uncache(session);
            }
            return !cancelled;
        }

        /** A session of its own, once Spark is there and knows the metastore. */
        private SparkSession session() throws Exception {
            synchronized (START) {
                while (base == null) {
                    START.wait(TICK);
                    if (cancelled) {
                        throw new InterruptedException("cancelled before Spark had started");
                    }
                }
                String uri = field("metastore");
                if (metastore == null) {
                    base.sparkContext().hadoopConfiguration().set("hive.metastore.uris", uri);
                    base.sparkContext().conf().set("spark.hadoop.hive.metastore.uris", uri);
                    String used = base.sharedState().hadoopConf().get("hive.metastore.uris");
                    if (uri.length() > 0 && !uri.equals(used)) {
                        err.println("this Spark would use the metastore " + used + " instead of " + uri);
                        err.flush();
                        Runtime.getRuntime().halt(1);
                    }
                    metastore = uri;
                } else if (!metastore.equals(uri)) {
                    throw new IllegalStateException("this Spark uses the metastore " + metastore + ", not " + uri);
                }
            }
            SparkSession session = base.newSession();
            SparkSession.setActiveSession(session);
            return session;
        }

        /** The smallest number that no other script has: scripts share processors evenly. */
        private int pool() {
            synchronized (SCRIPTS) {
                Set taken = new HashSet();
                Iterator scripts = SCRIPTS.values().iterator();
                while (scripts.hasNext()) {
                    taken.add(((Script) scripts.next()).fields.get("pool"));
                }
                int number = 1;
                while (taken.contains(Integer.valueOf(number))) {
                    number++;
                }
                fields.put("pool", Integer.valueOf(number));
                asked++;
                return number;
            }
        }

        /** Whether a user reads the log: answers to queries and analyses are read by the client. */
        private boolean labelled() {
            return !field("header").equals("true") && !field("lenient").equals("true");
        }

        private boolean statement(SparkSession session, String text, String label) throws Exception {
            long begun = System.nanoTime();
            note(text);
            try {
                Dataset answer = session.sql(text);
                QueryExecution execution = answer.queryExecution();
                String rows;
                if (execution.logical() instanceof Command) {
                    rows = new Rows(execution).text();
                } else {
                    rows = (String) SQLExecution.withNewExecutionId(
                        execution, scala.Option.apply("script"), new Rows(execution));
                }
                if (field("header").equals("true")) {
                    print(join(answer.columns(), "\t") + "\n");
                }
                // What a setting answers is what it says.
                if (rows.length() > 0 && !(labelled() && isSetting(text))) {
                    print(rows);
                }
                int count = 0;
                for (int i = 0; i < rows.length(); i++) {
                    if (rows.charAt(i) == '\n') {
                        count++;
                    }
                }
                double seconds = (System.nanoTime() - begun) / 1000000 / 1000.0;
                print("Time taken: " + seconds + " seconds" + (count > 0 ? ", Fetched " + count + " row(s)" : "")
                    + (labelled() ? "; " + label : "") + "\n");
                return true;
            } catch (Throwable error) {
                if (labelled() && !cancelled) {
                    print("Failed: " + label + "\n");
                }
                if (error instanceof AnalysisException) {
                    print("Error in query: " + error.getMessage() + "\n");
                    if (error.getCause() != null) {
                        print(trace(error));
                    }
                    return false;
                }
                String now = new SimpleDateFormat("yyyy-MM-dd HH:mm:ss").format(new Date());
                print(now + " ERROR SessionHost: Failed in [" + text.trim() + "]\n" + trace(error));
                if (error instanceof OutOfMemoryError) {
                    fatal(error);
                }
                return false;
            }
        }

        private static String trace(Throwable error) {
            StringWriter text = new StringWriter();
            error.printStackTrace(new PrintWriter(text, true));
            return text.toString();
        }

        /** Without memory no other script can be trusted to go on. */
        private void fatal(Throwable error) {
            err.println("this Spark ends: " + error);
            err.flush();
            Runtime.getRuntime().halt(52);
        }

        /** What a script caches must not answer the queries of later ones. */
        private void note(String text) {
            String[] words = text.replaceAll("(?m)^\\s*--.*$", "").trim().split("[\\s(;]+");
            int at = words.length > 1 && words[1].equalsIgnoreCase("LAZY") ? 2 : 1;
            if (words.length > at + 1 && words[0].equalsIgnoreCase("CACHE") && words[at].equalsIgnoreCase("TABLE")) {
                cached.add(words[at + 1]);
            }
        }

        private void uncache(SparkSession session) {
            for (int i = 0; i < cached.size(); i++) {
                try {
                    session.catalog().uncacheTable((String) cached.get(i));
                } catch (Throwable gone) {
                    // It was dropped by the script, which removes it from the cache, too.
                }
            }
        }

        void began(int job) {
            synchronized (jobs) {
                jobs.add(Integer.valueOf(job));
            }
            if (cancelled) {
                cancelJobs();
            }
        }

        void ended(int job) {
            synchronized (jobs) {
                jobs.remove(Integer.valueOf(job));
            }
        }

        void stage(Integer stage, int tasks) {
            synchronized (stages) {
                stages.put(stage, new Stage(tasks));
            }
        }

        void stageOver(Integer stage) {
            synchronized (stages) {
                stages.remove(stage);
            }
        }

        void task(Integer stage, int done, int running) {
            synchronized (stages) {
                Stage known = (Stage) stages.get(stage);
                if (known != null) {
                    known.done += done;
                    known.running += running;
                }
            }
        }

        /** Says how far the stages are that have taken a while, as Spark's console does. */
        void show() throws IOException {
            StringBuffer line = new StringBuffer();
            synchronized (stages) {
                Iterator entries = stages.entrySet().iterator();
                while (entries.hasNext()) {
                    Map.Entry entry = (Map.Entry) entries.next();
                    Stage stage = (Stage) entry.getValue();
                    if ((System.nanoTime() - stage.since) / 1000000L > SHOWN_AFTER) {
                        line.append("[Stage " + entry.getKey() + ":> (" + stage.done + " + " + stage.running + ") / " + stage.tasks + "]");
                    }
                }
            }
            String now = line.toString();
            if (now.length() > 0 && !now.equals(shown) && !field("header").equals("true")) {
                print(now + "\n");
            }
            shown = now;
        }

        void cancel() {
            cancelled = true;
            while (!over) {
                cancelJobs();
                thread.interrupt();
                pause();
            }
        }

        private void cancelJobs() {
            Object[] all;
            synchronized (jobs) {
                all = jobs.toArray();
            }
            for (int i = 0; i < all.length; i++) {
                base.sparkContext().cancelJob(((Integer) all[i]).intValue());
            }
        }

        private void finish(boolean ok) {
            // Jobs that it has left behind, such as a broadcast, must not run on.
            cancelled = cancelled || !ok;
            if (cancelled && base != null) {
                CANCELLED.put(id, Long.valueOf(System.nanoTime()));
                cancelJobs();
            }
            Thread.interrupted();
            SCRIPTS.remove(id);
            CURRENT.remove();
            over = true;
            if (answers != null) {
                frame(ok ? 'k' : 'f', new byte[0], 0, 0);
            }
            SparkSession.clearActiveSession();
            try {
                client.close();
            } catch (IOException gone) {
                // It is closed.
            }
        }
    }

    private static synchronized String nextId() {
        numbers++;
        return "script-" + numbers;
    }

    private static String join(String[] words, String separator) {
        StringBuffer joined = new StringBuffer();
        for (int i = 0; i < words.length; i++) {
            joined.append(i == 0 ? "" : separator).append(words[i]);
        }
        return joined.toString();
    }

    /** The rows of an answer, a line each, as Spark's SQL shell prints them. */
    private static class Rows extends scala.runtime.AbstractFunction0 {
        private final QueryExecution execution;

        Rows(QueryExecution execution) {
            this.execution = execution;
        }

        public Object apply() {
            return text();
        }

        String text() {
            scala.collection.Iterator rows = HiveResult.hiveResultString(execution.executedPlan()).iterator();
            StringBuffer text = new StringBuffer();
            while (rows.hasNext()) {
                text.append(rows.next()).append('\n');
            }
            return text.toString();
        }
    }

    /** A client that closes its side cancels its script. */
    private static class Reading implements Runnable {
        private final Script script;
        private final DataInputStream in;

        Reading(Script script, DataInputStream in) {
            this.script = script;
            this.in = in;
        }

        public void run() {
            try {
                while (in.read() >= 0) {
                    continue;
                }
            } catch (IOException gone) {
                // As if it had closed it.
            }
            if (!script.over) {
                script.cancel();
            }
        }
    }

    private static class Showing implements Runnable {
        private final Script script;

        Showing(Script script) {
            this.script = script;
        }

        public void run() {
            int ticks = 0;
            while (!script.over) {
                pause();
                ticks++;
                if (ticks % 5 == 0) {
                    try {
                        script.show();
                    } catch (IOException gone) {
                        return;
                    }
                }
            }
        }
    }

    /**
     * Statements, at semicolons outside of strings and comments. Lines that are comments are left
     * out, as by Spark's SQL shell, so that Spark counts the lines of a statement in the same way. A comment
     * between two statements is the heading of those that follow.
     */
    static List split(String script) {
        List statements = new ArrayList();
        StringBuffer statement = new StringBuffer();
        char quote = '\0';
        int block = 0;
        boolean has = false;
        String section = "";
        for (int i = 0; i < script.length(); i++) {
            char c = script.charAt(i);
            char next = i + 1 < script.length() ? script.charAt(i + 1) : '\0';
            if (block > 0) {
                if (c == '*' && next == '/' || c == '/' && next == '*') {
                    block += c == '*' ? -1 : 1;
                    statement.append(c);
                    c = next;
                    i++;
                }
            } else if (quote != '\0') {
                if (c == '\\' && quote != '`' && next != '\0') {
                    statement.append(c);
                    c = next;
                    i++;
                } else if (c == quote) {
                    quote = '\0';
                }
            } else if (c == '-' && next == '-') {
                boolean whole = i == 0 || script.charAt(i - 1) == '\n';
                int end = script.indexOf('\n', i);
                end = end < 0 ? script.length() : end;
                if (!whole) {
                    statement.append(script.substring(i, end)).append('\n');
                } else if (!has) {
                    section = script.substring(i + 2, end).trim();
                }
                i = end;
                continue;
            } else if (c == '/' && next == '*') {
                block = 1;
                statement.append(c);
                c = next;
                i++;
            } else if (c == ';') {
                if (has) {
                    statements.add(new Statement(statement.toString(), section));
                }
                statement = new StringBuffer();
                has = false;
                continue;
            } else if (!Character.isWhitespace(c)) {
                has = true;
                quote = c == '\'' || c == '"' || c == '`' ? c : '\0';
            }
            statement.append(c);
        }
        if (has) {
            statements.add(new Statement(statement.toString(), section));
        }
        return statements;
    }

    private static boolean isSetting(String statement) {
        return statement.trim().toUpperCase(Locale.ROOT).startsWith("SET ");
    }

    /** One statement of a script. */
    static class Statement {
        final String text;
        /** The comment above it, or above those before it; of the script's header none. */
        private final String section;

        Statement(String text, String section) {
            this.text = text;
            this.section = section.startsWith("step: ") || section.startsWith("writes: ") ? "" : section;
        }

        /**
         * How it is called in the log, as by statements.rs: `statement 3 of 7 (output out.a): DROP TABLE out.b`.
         * Of a setting the value is left out: it may be a secret.
         */
        String label(int number, int all) {
            String head = text.trim();
            int end = head.indexOf('\n');
            head = (end < 0 ? head : head.substring(0, end)).trim();
            int value = isSetting(head) ? head.indexOf('=') : -1;
            head = value < 0 ? head : head.substring(0, value);
            if (head.codePointCount(0, head.length()) > HEAD) {
                head = head.substring(0, head.offsetByCodePoints(0, HEAD)) + "...";
            }
            return "statement " + number + " of " + all + (section.length() > 0 ? " (" + section + ")" : "") + ": " + head;
        }
    }
}
