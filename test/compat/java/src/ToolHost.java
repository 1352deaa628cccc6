// Runs Kafka's tools one after the other in one process, since most of the time of each would go into its start. Lines in: class and
// arguments, parted by tabs. Lines out: what the tool prints to either stream, then "exit N" behind a character that no tool prints.
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

final class ToolHost {
  private static final char END = '\u0004';

  private ToolHost() {}

  private static final class Ended extends RuntimeException {
    private static final long serialVersionUID = 1;
    final int code;

    Ended(int code) {
      this.code = code;
    }
  }

  private static int run(String[] words) throws ReflectiveOperationException {
    try {
      Object args = Arrays.copyOfRange(words, 1, words.length);
      Class.forName(words[0]).getMethod("main", String[].class).invoke(null, args);
      return 0;
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof Ended) return ((Ended) e.getCause()).code;
      System.err.println(e.getCause());
      return 1;
    }
  }

  static void run() throws IOException, ReflectiveOperationException {
    Exit.setExitProcedure((code, message) -> {
      throw new Ended(code);
    });
    PrintStream out = System.out;
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      PrintStream caught = new PrintStream(bytes, true, StandardCharsets.UTF_8);
      System.setOut(caught);
      System.setErr(caught);
      int code = run(line.split("\t"));
      String text = bytes.toString(StandardCharsets.UTF_8);
      out.print(text);
      if (!text.isEmpty() && !text.endsWith("\n")) out.println();
      out.println(END + "exit " + code);
      out.flush();
    }
  }
}
