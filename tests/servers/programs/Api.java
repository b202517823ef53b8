// Api.java PORT FILE: a server with ServerSocket and a pool of threads, which knows nothing of handover but that it makes a file
// when it serves. It answers JSON-RPC as rpc-worker does, one request a connection.
//
// It is not the JDK's HttpServer, whose stop() drops the connections that it has accepted and not read yet.

import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Api {
	static final ExecutorService pool = Executors.newCachedThreadPool();
	static final CountDownLatch accepted = new CountDownLatch(1); // the last connection

	static long number(String text, String name) {
		Matcher found = Pattern.compile(name + ":\\s*(-?\\d+)").matcher(text);
		return found.find() ? Long.parseLong(found.group(1)) : 0;
	}

	static String answer(String body) throws InterruptedException {
		if (body.contains("\"hang\""))
			Thread.sleep(Long.MAX_VALUE);
		if (body.contains("\"work\""))
			Thread.sleep(number(body, "\"ms\""));
		return String.format("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"sum\":%d,\"pid\":%d,\"slot\":%s,\"generation\":%s,"
			+ "\"version\":\"java\"}}", number(body, "\"id\""), number(body, "\"a\"") + number(body, "\"b\""),
			ProcessHandle.current().pid(), System.getenv("HANDOVER_SLOT"), System.getenv("HANDOVER_GENERATION"));
	}

	static void serve(Socket socket) {
		try (socket) {
			DataInputStream in = new DataInputStream(socket.getInputStream());
			StringBuilder head = new StringBuilder();
			while (head.indexOf("\r\n\r\n") < 0)
				head.append((char) in.readUnsignedByte());
			byte[] body = new byte[(int) number(head.toString(), "Content-Length")];
			in.readFully(body);
			String text = answer(new String(body, StandardCharsets.UTF_8));
			socket.getOutputStream().write(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + text.length() + "\r\n\r\n"
				+ text).getBytes(StandardCharsets.UTF_8));
		} catch (IOException | InterruptedException e) {
			// its client has gone, or we end
		}
	}

	// Accepting ends first; what was accepted is answered.
	static void drain(ServerSocket listener) {
		try {
			listener.close();
			accepted.await();
			pool.shutdown();
			pool.awaitTermination(1, TimeUnit.HOURS);
		} catch (IOException | InterruptedException e) {
			e.printStackTrace();
		}
	}

	public static void main(String[] args) throws IOException {
		ServerSocket listener = new ServerSocket(Integer.parseInt(args[0]), 50, InetAddress.getByName("127.0.0.1"));
		Runtime.getRuntime().addShutdownHook(new Thread(() -> drain(listener)));
		Files.createFile(Path.of(args[1]));
		try {
			while (true) {
				Socket socket = listener.accept();
				pool.execute(() -> serve(socket));
			}
		} catch (IOException e) {
			accepted.countDown(); // closed
		}
	}
}
