// Api.java PORT FILE: the JDK's own HTTP server, which knows nothing of handover but that it makes a
// file when it serves. It answers JSON-RPC as rpc-worker does.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Api {
	static long number(String body, String name) {
		Matcher found = Pattern.compile("\"" + name + "\":\\s*(-?\\d+)").matcher(body);
		return found.find() ? Long.parseLong(found.group(1)) : 0;
	}

	static final AtomicInteger busy = new AtomicInteger();

	static void answer(HttpExchange exchange) throws IOException {
		busy.incrementAndGet();
		try {
			work(exchange);
		} finally {
			busy.decrementAndGet();
		}
	}

	static void work(HttpExchange exchange) throws IOException {
		String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
		try {
			if (body.contains("\"hang\""))
				Thread.sleep(Long.MAX_VALUE);
			if (body.contains("\"work\""))
				Thread.sleep(number(body, "ms"));
		} catch (InterruptedException e) {
			return;
		}
		String result = String.format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"sum\":%d,\"pid\":%d,\"slot\":%s,\"generation\":%s,"
			+ "\"version\":\"java\"}}", number(body, "id"), number(body, "a") + number(body, "b"), ProcessHandle.current().pid(),
			System.getenv("HANDOVER_SLOT"), System.getenv("HANDOVER_GENERATION"));
		byte[] bytes = result.getBytes(StandardCharsets.UTF_8);
		exchange.sendResponseHeaders(200, bytes.length);
		exchange.getResponseBody().write(bytes);
		exchange.close();
	}

	// stop() accepts no more at once, and then waits for the whole of its time when nothing happens; so another thread calls it.
	static void drain(HttpServer server) {
		Thread stopping = new Thread(() -> server.stop(60));
		stopping.setDaemon(true);
		stopping.start();
		try {
			for (int quiet = 0; quiet < 10 && stopping.isAlive(); quiet = busy.get() == 0 ? quiet + 1 : 0)
				Thread.sleep(50);
		} catch (InterruptedException e) {
			return;
		}
	}

	public static void main(String[] args) throws IOException {
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
		server.createContext("/", Api::answer);
		server.setExecutor(Executors.newCachedThreadPool());
		Runtime.getRuntime().addShutdownHook(new Thread(() -> drain(server)));
		server.start();
		Files.createFile(Path.of(args[1]));
	}
}
