import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FileReader;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.sql.DriverManager;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.HiveMetaStore;
import org.apache.hadoop.hive.metastore.IHMSHandler;
import org.apache.hadoop.hive.metastore.TSetIpAddressProcessor;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.protocol.TProtocol;
import org.apache.thrift.server.ServerContext;
import org.apache.thrift.server.TServerEventHandler;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;
import org.apache.thrift.transport.TSocket;
import org.apache.thrift.transport.TTransport;
import org.apache.thrift.transport.TTransportException;

/**
 * The Hive metastore of Spark's jars, on a free port of the loopback address, ended when idle.
 *
 * HiveMetaStore's own main class listens on every address and never ends, hence this one. It is
 * compiled at start by the Janino compiler that is among Spark's jars (so: no lambdas, no
 * generics). Standard input is the locked file that makes this the only metastore of its
 * directory: it is never read and stays open, and so locked, for as long as this process lives.
 *
 * Only the user that runs it (and root) may connect: see {@link Peers}.
 *
 * Arguments: state file, token, idle milliseconds, database directory (relative to the working
 * directory), warehouse directory, and the port to listen on if it is free (0: any).
 */
public class EmbeddedMetastore {
    private final File state;
    private final File endRequest;
    private final String token;
    private final long idleMillis;
    private final int preferredPort;
    private final AtomicInteger connections = new AtomicInteger();
    private int port;

    private EmbeddedMetastore(String[] args) {
        this.state = new File(args[0]);
        this.endRequest = new File(args[0] + ".end");
        this.token = args[1];
        this.idleMillis = Long.parseLong(args[2]);
        this.preferredPort = Integer.parseInt(args[5]);
    }

    public static void main(String[] args) throws Exception {
        new EmbeddedMetastore(args).serve(configuration(args[1], args[3], args[4]));
    }

    private static HiveConf configuration(String token, String database, String warehouse) {
        HiveConf conf = new HiveConf(EmbeddedMetastore.class);
        conf.set("hive.chronon.run.token", token);
        conf.set("javax.jdo.option.ConnectionURL", "jdbc:derby:;databaseName=" + database + ";create=true");
        conf.set("hive.metastore.warehouse.dir", warehouse);
        conf.set("hive.metastore.schema.verification", "false");
        conf.set("datanucleus.schema.autoCreateAll", "true");
        conf.set("hive.async.log.enabled", "false");
        // Without Hadoop's native library each directory would cost several processes (chmod, chgrp).
        conf.set("hive.warehouse.subdir.inherit.perms", "false");
        return conf;
    }

    private void serve(HiveConf conf) throws Exception {
        HiveMetaStore.HMSHandler plain = new HiveMetaStore.HMSHandler("chronon-run", conf, false);
        leaveOutListeners(plain);
        IHMSHandler handler = HiveMetaStore.newRetryingHMSHandler(plain, conf);
        TServerSocket socket = listen();
        port = socket.getServerSocket().getLocalPort();
        TThreadPoolServer.Args settings = new TThreadPoolServer.Args(socket);
        settings.processor(new TSetIpAddressProcessor(Remembering.of(handler)));
        settings.protocolFactory(new TBinaryProtocol.Factory());
        settings.minWorkerThreads = 4;
        settings.maxWorkerThreads = 1000;
        TThreadPoolServer server = new TThreadPoolServer(settings);
        server.setServerEventHandler(new Counter());
        Runtime.getRuntime().addShutdownHook(new Closer());
        announce();
        new Watcher().start();
        server.serve();
    }

    /**
     * Hive's own listener looks at transactional tables that are created, which Spark does not do. As long as there is
     * one, each question for partitions reads the table again. A Hive without the field keeps it.
     */
    private static void leaveOutListeners(HiveMetaStore.HMSHandler handler) {
        try {
            Field listeners = HiveMetaStore.HMSHandler.class.getDeclaredField("preListeners");
            listeners.setAccessible(true);
            ((List) listeners.get(handler)).clear();
        } catch (Exception another) {
            System.err.println("the metastore keeps its listeners: " + another);
        }
    }

    private TServerSocket listen() throws Exception {
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        try {
            return new OwnUsersSocket(new InetSocketAddress(loopback, preferredPort));
        } catch (TTransportException taken) {
            return new OwnUsersSocket(new InetSocketAddress(loopback, 0));
        }
    }

    /**
     * Answers what a table or a database is from memory until something is changed: Spark asks several times in each
     * statement, and each answer costs a dozen queries of the database, which only this process writes. Partitions are
     * always read from the database, and changes of them leave tables as they are.
     */
    private static class Remembering implements InvocationHandler {
        private static final List ASKED = Arrays.asList(new Object[] {
            "get_table", "get_table_req", "get_table_objects_by_name", "get_table_objects_by_name_req", "get_database"});
        private static final List OF_PARTITIONS = Arrays.asList(new Object[] {
            "add_partition", "add_partitions", "append_partition", "drop_partition", "drop_partitions", "alter_partition",
            "alter_partitions"});
        /** So many answers are kept at most. */
        private static final int MOST = 10000;
        private final IHMSHandler handler;
        private final Map answers = new ConcurrentHashMap();
        /** Counts what is changed, so that an answer from before is not kept after. */
        private final AtomicLong changes = new AtomicLong();

        private Remembering(IHMSHandler handler) {
            this.handler = handler;
        }

        static IHMSHandler of(IHMSHandler handler) {
            Class[] all = {IHMSHandler.class};
            return (IHMSHandler) Proxy.newProxyInstance(
                EmbeddedMetastore.class.getClassLoader(), all, new Remembering(handler));
        }

        public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
            String name = method.getName();
            if (ASKED.contains(name)) {
                return asked(method, arguments);
            }
            if (changesNoTable(name)) {
                List one = name.equals("get_partitions_ps_with_auth") ? one(arguments) : null;
                return one != null ? one : call(method, arguments);
            }
            forget();
            try {
                return call(method, arguments);
            } finally {
                forget();
            }
        }

        private static boolean changesNoTable(String name) {
            return name.startsWith("get")
                || OF_PARTITIONS.contains(name.replaceFirst("(_req|_by_name|_with_environment_context)+$", ""));
        }

        /**
         * The partition with these values: by its name it is found at once, by its values only by a search. Null where
         * it is not there, or where values of some columns are not given.
         */
        private List one(Object[] arguments) {
            List values = (List) arguments[2];
            if (values.contains("") || ((Short) arguments[3]).shortValue() == 0) {
                return null;
            }
            try {
                Object found = handler.get_partition((String) arguments[0], (String) arguments[1], values);
                return Collections.singletonList(found);
            } catch (Exception other) {
                return null;
            }
        }

        private Object asked(Method method, Object[] arguments) throws Throwable {
            List key = Arrays.asList(new Object[] {method.getName(), Arrays.asList(arguments)});
            Object known = answers.get(key);
            if (known != null) {
                return known;
            }
            long before = changes.get();
            Object answer = call(method, arguments);
            keep(key, answer, before);
            return answer;
        }

        private synchronized void keep(List key, Object answer, long before) {
            if (answer != null && answers.size() < MOST && changes.get() == before) {
                answers.put(key, answer);
            }
        }

        private synchronized void forget() {
            changes.incrementAndGet();
            answers.clear();
        }

        private Object call(Method method, Object[] arguments) throws Throwable {
            try {
                return method.invoke(handler, arguments);
            } catch (InvocationTargetException failed) {
                throw failed.getCause();
            }
        }
    }

    /** Closes connections of other users before a byte of them is read. */
    private static class OwnUsersSocket extends TServerSocket {
        private final Peers peers;

        OwnUsersSocket(InetSocketAddress address) throws Exception {
            super(address);
            peers = new Peers();
        }

        protected TSocket acceptImpl() throws TTransportException {
            while (true) {
                TSocket client = super.acceptImpl();
                if (peers.mayConnect(client.getSocket())) {
                    return client;
                }
                client.close();
            }
        }
    }

    /**
     * Whose the other end of a loopback connection is. Linux lists every TCP socket with its owner
     * in /proc/net/tcp (and tcp6, where a Java client's socket may be). On a system without that
     * file nothing is known, and every local user may connect.
     */
    private static class Peers {
        private static final String[] TABLES = {"/proc/net/tcp", "/proc/net/tcp6"};
        /** What stands before the address of IPv4 in the two: addresses are words of 32 bits in this machine's order. */
        private static final String[] MAPPED = {"", "0000000000000000" + word(new byte[] {0, 0, -1, -1})};
        private final String own;

        Peers() throws IOException {
            own = ownUser();
        }

        boolean mayConnect(Socket socket) {
            if (own == null || !new File(TABLES[0]).exists()) {
                return true;
            }
            try {
                for (int i = 0; i < TABLES.length; i++) {
                    String owner = owner(TABLES[i], MAPPED[i], socket);
                    if (owner != null) {
                        return owner.equals(own) || owner.equals("0");
                    }
                }
                return false;
            } catch (IOException unreadable) {
                return false;
            }
        }

        /**
         * The user of the other end of a connection; null if there is none. Both addresses count, not the ports
         * alone: another user may connect from another loopback address and the port of a connection of this one.
         */
        private static String owner(String table, String mapped, Socket socket) throws IOException {
            if (!new File(table).exists()) {
                return null;
            }
            String local = mapped + place(socket.getInetAddress(), socket.getPort());
            String remote = mapped + place(socket.getLocalAddress(), socket.getLocalPort());
            BufferedReader lines = new BufferedReader(new FileReader(table));
            try {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    String[] fields = line.trim().split("\\s+");
                    if (fields.length > 9 && fields[1].equals(local) && fields[2].equals(remote)) {
                        // A socket that its process has closed has no inode and shows root as owner.
                        return fields[9].equals("0") ? "closed" : fields[7];
                    }
                }
            } finally {
                lines.close();
            }
            return null;
        }

        /** An address of IPv4 and a port as the table writes them. */
        private static String place(InetAddress address, int port) {
            return word(address.getAddress()) + String.format(":%04X", new Object[] {Integer.valueOf(port)});
        }

        private static String word(byte[] four) {
            int word = ByteBuffer.wrap(four).order(ByteOrder.nativeOrder()).getInt();
            return String.format("%08X", new Object[] {Integer.valueOf(word)});
        }

        /** The effective user of this process. */
        private static String ownUser() throws IOException {
            File status = new File("/proc/self/status");
            if (!status.exists()) {
                return null;
            }
            BufferedReader lines = new BufferedReader(new FileReader(status));
            try {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (line.startsWith("Uid:")) {
                        return line.trim().split("\\s+")[2];
                    }
                }
            } finally {
                lines.close();
            }
            return null;
        }
    }

    /** Says where to connect. Written under another name first, so that no one reads half of it. */
    private void announce() throws Exception {
        String pid = new File("/proc/self").getCanonicalFile().getName();
        if (pid.equals("self")) {
            pid = "0";
        }
        File draft = new File(state.getPath() + "." + token);
        FileOutputStream out = new FileOutputStream(draft);
        out.write(("{\"port\":" + port + ",\"pid\":" + pid + ",\"token\":\"" + token + "\"}\n").getBytes("UTF-8"));
        out.close();
        if (!draft.renameTo(state)) {
            throw new IOException("cannot write " + state);
        }
    }

    /** Every open connection is a user: a chronon-run process or one of its Spark jobs. */
    private class Counter implements TServerEventHandler {
        public void preServe() {}

        public ServerContext createContext(TProtocol in, TProtocol out) {
            connections.incrementAndGet();
            return null;
        }

        public void deleteContext(ServerContext context, TProtocol in, TProtocol out) {
            connections.decrementAndGet();
        }

        public void processContext(ServerContext context, TTransport in, TTransport out) {}
    }

    /**
     * Ends the process when it had no connection for a while, or for a second if its end is requested by
     * a file beside its state file; and at once, whoever uses it, when its
     * state file is gone or another server's: then its directory was removed, moved or replaced. The
     * database is not closed in that case, because closing it would write into that place again.
     */
    private class Watcher extends Thread {
        Watcher() {
            setDaemon(true);
        }

        public void run() {
            try {
                long idleSince = System.nanoTime();
                while (true) {
                    Thread.sleep(200L);
                    if (!isOurs()) {
                        Runtime.getRuntime().halt(0);
                    }
                    if (connections.get() > 0) {
                        idleSince = System.nanoTime();
                        continue;
                    }
                    long limit = endRequest.exists() ? Math.min(idleMillis, 1000L) : idleMillis;
                    if ((System.nanoTime() - idleSince) / 1000000L < limit) {
                        continue;
                    }
                    // A newcomer believes in its connection only if the state file is still there
                    // afterwards: so remove it first, then look once more.
                    state.delete();
                    if (connections.get() == 0) {
                        System.exit(0);
                    }
                    announce();
                }
            } catch (Exception error) {
                error.printStackTrace();
                System.exit(1);
            }
        }
    }

    /** Whether the state file is the one that this process wrote. */
    private boolean isOurs() {
        byte[] text = new byte[200];
        try {
            FileInputStream in = new FileInputStream(state);
            int length = in.read(text);
            in.close();
            return length > 0 && new String(text, 0, length, "UTF-8").contains(token);
        } catch (IOException gone) {
            return false;
        }
    }

    /** Leaves the database closed, so that the next start need not recover it. */
    private static class Closer extends Thread {
        public void run() {
            try {
                DriverManager.getConnection("jdbc:derby:;shutdown=true");
            } catch (Exception closed) {
                // Derby reports a successful shutdown as an exception.
            }
        }
    }
}
