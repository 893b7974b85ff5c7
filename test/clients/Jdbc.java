/* Jdbc.java URL - through PostgreSQL's JDBC driver: statements prepared by the server, a batch in a
 * transaction, a cursor's portions, an error that the session survives.  Prints "ok". */
import java.sql.*;

class Jdbc {
    static void check(boolean good, String what) {
        if (!good)
            throw new AssertionError(what);
    }

    static void prepared(Connection c) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("SELECT ?::int + 1")) {
            for (int i = 0; i < 20; i++) {      // the driver names it from the fifth time on
                s.setInt(1, i);
                ResultSet r = s.executeQuery();
                check(r.next() && r.getInt(1) == i + 1, "prepared");
            }
        }
    }

    static void batch(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement();
             PreparedStatement p = c.prepareStatement("INSERT INTO b VALUES (?)")) {
            s.execute("CREATE TEMP TABLE b (n int)");
            for (int i = 0; i < 1000; i++) {
                p.setInt(1, i);
                p.addBatch();
            }
            check(p.executeBatch().length == 1000, "batch");
            s.setFetchSize(10);
            ResultSet r = s.executeQuery("SELECT n FROM b ORDER BY n");
            int n = 0;
            while (r.next())
                check(r.getInt(1) == n++, "cursor");
            check(n == 1000, "cursor's end");
        }
        c.commit();
        c.setAutoCommit(true);
    }

    static void error(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            s.execute("SELECT 1/0");
            check(false, "no error");
        } catch (SQLException e) {
            check(e.getSQLState().equals("22012"), e.getSQLState());
        }
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(args[0])) {
            prepared(c);
            batch(c);
            error(c);
            prepared(c);
        }
        System.out.println("ok");
    }
}
