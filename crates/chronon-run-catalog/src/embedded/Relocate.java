import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import org.apache.hadoop.fs.Path;

/**
 * Changes the path prefixes in a metastore's database after its workspace was moved or copied.
 *
 * Compiled at start like EmbeddedMetastore, so: no lambdas, no generics. Standard input is the locked
 * file that makes this the only user of the database. All changes are one transaction; a change that
 * was applied already changes nothing.
 *
 * Arguments: database directory (relative to the working directory), then pairs of the old and the new prefix, in the order of the moves.
 */
public class Relocate {
    /** Table, column with a location, and the columns that identify a row. */
    private static final String[][] COLUMNS = {
        {"DBS", "DB_LOCATION_URI", "DB_ID"},
        {"SDS", "LOCATION", "SD_ID"},
        {"SERDE_PARAMS", "PARAM_VALUE", "SERDE_ID", "PARAM_KEY"},
        {"TABLE_PARAMS", "PARAM_VALUE", "TBL_ID", "PARAM_KEY"},
        {"SD_PARAMS", "PARAM_VALUE", "SD_ID", "PARAM_KEY"},
        {"PARTITION_PARAMS", "PARAM_VALUE", "PART_ID", "PARAM_KEY"},
        {"DATABASE_PARAMS", "PARAM_VALUE", "DB_ID", "PARAM_KEY"},
        {"FUNC_RU", "RESOURCE_URI", "FUNC_ID", "INTEGER_IDX"},
    };

    public static void main(String[] args) throws Exception {
        Connection connection = DriverManager.getConnection("jdbc:derby:;databaseName=" + args[0]);
        connection.setAutoCommit(false);
        int changed = 0;
        for (int i = 0; i < COLUMNS.length; i++) {
            if (exists(connection, COLUMNS[i][0])) {
                changed += change(connection, COLUMNS[i], args);
            }
        }
        connection.commit();
        connection.close();
        System.out.println("relocated " + changed + " locations");
        try {
            DriverManager.getConnection("jdbc:derby:;shutdown=true");
        } catch (Exception closed) {
            // Derby reports a successful shutdown as an exception.
        }
        System.exit(0);
    }

    private static boolean exists(Connection connection, String table) throws Exception {
        ResultSet found = connection.getMetaData().getTables(null, "APP", table, null);
        boolean exists = found.next();
        found.close();
        return exists;
    }

    private static int change(Connection connection, String[] names, String[] args) throws Exception {
        String keys = "";
        String where = "";
        for (int i = 2; i < names.length; i++) {
            keys += ", \"" + names[i] + "\"";
            where += (i == 2 ? "" : " AND ") + "\"" + names[i] + "\" = ?";
        }
        String column = "\"" + names[1] + "\"";
        String table = "\"APP\".\"" + names[0] + "\"";
        PreparedStatement update = connection.prepareStatement("UPDATE " + table + " SET " + column + " = ? WHERE " + where);
        PreparedStatement query = connection.prepareStatement("SELECT " + column + keys + " FROM " + table);
        ResultSet rows = query.executeQuery();
        int changed = 0;
        while (rows.next()) {
            String before = rows.getString(1);
            String after = before == null ? null : relocated(before, args);
            if (after == null || after.equals(before)) {
                continue;
            }
            update.setString(1, after);
            for (int i = 2; i < names.length; i++) {
                update.setString(i, rows.getString(i));
            }
            changed += update.executeUpdate();
        }
        rows.close();
        query.close();
        update.close();
        return changed;
    }

    private static String relocated(String location, String[] args) {
        for (int i = 1; i + 1 < args.length; i += 2) {
            location = moved(location, args[i], args[i + 1]);
            String from = new Path(args[i]).toUri().toString();
            String to = new Path(args[i + 1]).toUri().toString();
            if (!from.equals(args[i])) {
                location = moved(location, from, to);
            }
        }
        return location;
    }

    private static String moved(String location, String from, String to) {
        String scheme = "";
        String path = location;
        if (location.startsWith("file:")) {
            int at = 5;
            while (location.startsWith("//", at)) {
                at++;
            }
            scheme = location.substring(0, at);
            path = location.substring(at);
        }
        boolean nested = to.startsWith(from + "/");
        boolean done = nested && (path.equals(to) || path.startsWith(to + "/"));
        if (done || !(path.equals(from) || path.startsWith(from + "/"))) {
            return location;
        }
        return scheme + to + path.substring(from.length());
    }
}
