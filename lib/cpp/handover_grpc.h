/*
 * handover_grpc.h - makes a gRPC server in C++ a worker of handoverd(8), on top of handover.h.
 *
 *	handovergrpc::Worker worker; // first of all
 *	grpc::ServerBuilder builder;
 *	builder.RegisterService(&payments);
 *	worker.Listen(builder, "grpc", grpc::InsecureServerCredentials(), "127.0.0.1:9000");
 *	worker.Count(builder);
 *	std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
 *	return worker.Run(*server);
 *
 * gRPC's core binds its addresses itself, and calls shutdown() on its listening sockets at its end,
 *which stops a shared one for everybody. So the worker accepts itself, and gives the server
 *connections (gRPC's ExternalConnectionAcceptor).
 *
 * C++17, gRPC 1.51 (Debian 12), pkg-config libhandover grpc++. The whole of it is in this header.
 */
#ifndef HANDOVER_GRPC_H
#define HANDOVER_GRPC_H

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/support/server_interceptor.h>

#include <handover.h>

namespace handovergrpc
{

/* The calls in flight, by name: for the count that the master reads, and for the report of what had
 * not finished. */
class Ledger
{
      public:
	using Clock = std::chrono::steady_clock;
	struct Entry {
		std::string name;
		Clock::time_point start;
	};
	using Place = std::list<Entry>::iterator;
	enum class Rest { kOver, kQuiet, kLate };

	Place Begin(struct handover *handle, std::string name)
	{
		handover_begin(handle);
		const std::lock_guard<std::mutex> lock(mutex_);
		return entries_.insert(entries_.end(), {std::move(name), Clock::now()});
	}

	void SetPeer(Place place, const std::string &peer)
	{
		const std::lock_guard<std::mutex> lock(mutex_);
		place->name += " from " + peer;
	}

	void End(struct handover *handle, Place place)
	{
		{
			const std::lock_guard<std::mutex> lock(mutex_);
			entries_.erase(place);
			last_ = Clock::now();
		}
		changed_.notify_all();
		handover_end(handle);
	}

	/* Until there has been no call for that long; or it is that late; or it is over. */
	Rest WaitQuiet(Clock::duration quiet, Clock::time_point late)
	{
		std::unique_lock<std::mutex> lock(mutex_);
		last_ = Clock::now();
		while (!over_) {
			const bool idle = entries_.empty();
			if (idle && Clock::now() >= last_ + quiet)
				return Rest::kQuiet;
			if (Clock::now() >= late)
				return Rest::kLate;
			changed_.wait_until(lock, idle ? std::min(late, last_ + quiet) : late);
		}
		return Rest::kOver;
	}

	/* Whether it was over by then. */
	bool WaitOver(Clock::time_point late)
	{
		std::unique_lock<std::mutex> lock(mutex_);
		return changed_.wait_until(lock, late, [this] { return over_; });
	}

	void SetOver()
	{
		{
			const std::lock_guard<std::mutex> lock(mutex_);
			over_ = true;
		}
		changed_.notify_all();
	}

	/* The oldest ones, as a sentence. */
	std::string Unfinished()
	{
		const std::lock_guard<std::mutex> lock(mutex_);
		const auto now = Clock::now();
		std::string text;
		size_t n = 0;
		for (const Entry &entry : entries_) {
			if (++n > kNamed)
				return text + "; and " + std::to_string(entries_.size() - kNamed) +
				       " more";
			char took[32];
			snprintf(took, sizeof took, " for %.1f s",
				 std::chrono::duration<double>(now - entry.start).count());
			text += (text.empty() ? "" : "; ") + entry.name + took;
		}
		return text.empty() ? "calls that are not counted, or a client's connection" : text;
	}

      private:
	static constexpr size_t kNamed = 20;

	std::mutex mutex_;
	std::condition_variable changed_;
	std::list<Entry> entries_;
	Clock::time_point last_; /* when the last one ended */
	bool over_ = false;
};

class Worker
{
      public:
	using Interceptors =
	    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>;

	/* Takes what the supervisor has given. Run() tells what went wrong here. From then on
	 * SIGTERM and SIGINT start the drain. */
	Worker()
	{
		Check(handover_open(HANDOVER_THREAD, &handle_),
		      "cannot take what the supervisor has given");
		for (const int sig : {SIGTERM, SIGINT})
			Check(handover_handle_signal(handle_, sig),
			      "cannot catch the drain signal");
	}

	~Worker()
	{
		handover_close(handle_);
	}

	Worker(const Worker &) = delete;
	Worker &operator=(const Worker &) = delete;

	/* The server is to serve the handed-over socket of that name (empty: the first that is
	 * left); address is for a run without a supervisor. */
	void Listen(grpc::ServerBuilder &builder, const std::string &name,
		    std::shared_ptr<grpc::ServerCredentials> credentials,
		    const std::string &address)
	{
		if (handle_ == nullptr) {
			builder.AddListeningPort(address, std::move(credentials));
			return;
		}
		if (probe_.fd < 0 && handover_socket(handle_, "probe", 0, &probe_.fd) == 0)
			probe_.acceptor = MakeAcceptor(builder, grpc::InsecureServerCredentials());
		listeners_.push_back({name, MakeAcceptor(builder, std::move(credentials)), -1});
	}

	/* Has calls counted, and named when a drain cuts them off. Interceptors of your own come
	 * along. */
	void Count(grpc::ServerBuilder &builder, Interceptors interceptors = {})
	{
		counts_ = true;
		interceptors.push_back(std::make_unique<CounterFactory>(*this));
		builder.experimental().SetInterceptorCreators(std::move(interceptors));
	}

	/*
	 * Says ready, serves until the drain, and carries it out. The exit status: 0; 143 when
	 * something was cut off; 1 after a failure, which it has told. 200 ms before the end of the
	 * budget it ends the process itself, with 143.
	 */
	int Run(grpc::Server &server)
	{
		if (!error_.empty())
			return Fail(server);
		if (handle_ == nullptr) {
			server.Wait();
			return 0;
		}
		/* the master may ask over the probe socket before it sends the others */
		std::thread probed;
		if (probe_.fd >= 0)
			probed = std::thread([this] { AcceptFrom({&probe_}, [] {}); });
		if (TakeSockets(0) && SayReady() && TakeSockets(HANDOVER_FOREVER))
			Accept(server);
		for (Listener &listener : listeners_)
			if (listener.fd >= 0)
				close(listener.fd); /* the queue is left to those that share it */
		if (probed.joinable()) {
			handover_drain(handle_); /* after a failure nobody else has said it */
			probed.join();
			close(probe_.fd);
		}
		return error_.empty() ? Drain(server) : Fail(server);
	}

	struct handover *Handle() const
	{
		return handle_;
	}

      private:
	using Clock = Ledger::Clock;
	using Usec = std::chrono::microseconds;

	/* where the supervisor has named none */
	static constexpr Usec kDefaultBudget = std::chrono::seconds(6);
	static constexpr Usec kReserve = std::chrono::milliseconds(200);
	static constexpr Usec kSettle = std::chrono::milliseconds(100); /* for handshakes */
	/* connections on which nothing happens are kept so long */
	static constexpr Usec kQuiet = std::chrono::milliseconds(500);
	static constexpr int kCut = 128 + SIGTERM; /* exit status */

	struct Listener {
		std::string name;
		std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
		int fd;
	};

	/* It lives as long as its call. */
	class Counter : public grpc::experimental::Interceptor
	{
	      public:
		Counter(Worker &worker, grpc::experimental::ServerRpcInfo &info)
		    : worker_(worker), info_(info),
		      place_(worker.ledger_.Begin(worker.handle_, info.method()))
		{
		}

		~Counter() override
		{
			worker_.ledger_.End(worker_.handle_, place_);
		}

		void Intercept(grpc::experimental::InterceptorBatchMethods *methods) override
		{
			using grpc::experimental::InterceptionHookPoints;
			if (methods->QueryInterceptionHookPoint(
				InterceptionHookPoints::POST_RECV_INITIAL_METADATA))
				worker_.ledger_.SetPeer(place_, info_.server_context()->peer());
			methods->Proceed();
		}

	      private:
		Worker &worker_;
		grpc::experimental::ServerRpcInfo &info_;
		Ledger::Place place_;
	};

	class CounterFactory : public grpc::experimental::ServerInterceptorFactoryInterface
	{
	      public:
		explicit CounterFactory(Worker &worker) : worker_(worker)
		{
		}

		grpc::experimental::Interceptor *
		CreateServerInterceptor(grpc::experimental::ServerRpcInfo *info) override
		{
			/* nobody waits for the end of a health watch */
			return strncmp(info->method(), "/grpc.health.", 13) == 0
				   ? nullptr
				   : new Counter(worker_, *info);
		}

	      private:
		Worker &worker_;
	};

	static std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor>
	MakeAcceptor(grpc::ServerBuilder &builder,
		     std::shared_ptr<grpc::ServerCredentials> credentials)
	{
		using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
		return builder.experimental().AddExternalConnectionAcceptor(Type::FROM_FD,
									    std::move(credentials));
	}

	void Check(int result, const std::string &what)
	{
		if (result < 0 && error_.empty())
			error_ = what + ": " + strerror(-result);
	}

	int Fail(grpc::Server &server)
	{
		fprintf(stderr, "%s\n", error_.c_str());
		server.Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
		return 1;
	}

	bool SayReady()
	{
		Check(handover_ready(handle_, "serving"),
		      "cannot tell the supervisor that this worker is ready");
		return error_.empty();
	}

	/* timeout 0: those that are inherited, so that one that is missing fails the start; the
	 * others come with `handoff = channel` once all that start are ready. Whether there is
	 * something to serve. */
	bool TakeSockets(uint64_t timeout)
	{
		for (Listener &listener : listeners_) {
			const char *name = listener.name.empty() ? nullptr : listener.name.c_str();
			const int result =
			    listener.fd >= 0
				? 0
				: handover_socket(handle_, name, timeout, &listener.fd);
			if (result == -ESHUTDOWN)
				return false;
			if (result != -ETIMEDOUT || timeout != 0)
				Check(result,
				      "socket '" + listener.name + "', of " + SocketNames());
		}
		return error_.empty();
	}

	std::string SocketNames() const
	{
		std::string names;
		char name[256];
		for (size_t n = 0; handover_socket_name(handle_, n, name, sizeof name) >= 0; n++)
			names += (names.empty() ? "'" : " '") + std::string(name) + "'";
		return names.empty() ? "none" : names;
	}

	void Accept(grpc::Server &server)
	{
		std::vector<Listener *> all;
		for (Listener &listener : listeners_)
			all.push_back(&listener);
		AcceptFrom(all, [&server] { SayNotServing(server); });
	}

	/* Until the drain; with a lame duck before it, or without. */
	void AcceptFrom(const std::vector<Listener *> &listeners,
			const std::function<void()> &on_lame_duck)
	{
		std::vector<struct pollfd> fds = {{handover_drain_fd(handle_), POLLIN, 0},
						  {handover_lame_duck_fd(handle_), POLLIN, 0}};
		for (const Listener *listener : listeners)
			fds.push_back({listener->fd, POLLIN, 0});
		while (!handover_is_draining(handle_)) {
			if (poll(fds.data(), fds.size(), -1) < 0)
				continue; /* a signal */
			if (fds[1].revents != 0) {
				on_lame_duck();
				fds[1].fd = -1;
			}
			for (size_t i = 2; i < fds.size(); i++)
				if (fds[i].revents != 0 && fds[0].revents == 0)
					AcceptOne(*listeners[i - 2], fds[0]);
		}
	}

	void AcceptOne(Listener &listener, struct pollfd drain)
	{
		const int fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				poll(&drain, 1, 100); /* it stays in the queue, for a worker that
							 has descriptors left */
			return;
		}
		const int on = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
			   sizeof on); /* fails for Unix sockets, which do not need it */
		grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
		connection.listener_fd = listener.fd;
		connection.fd = fd;
		listener.acceptor->HandleNewConnection(&connection);
	}

	/* At a stop only: at a reload a successor serves, and a client that watches our health
	 * would fail its calls instead of moving over, as GOAWAY makes it do. */
	static void SayNotServing(grpc::Server &server)
	{
		grpc::HealthCheckServiceInterface *health = server.GetHealthCheckService();
		if (health != nullptr)
			health->SetServingStatus(false);
	}

	/* The times of a drain, from now on. */
	struct Limits {
		Usec budget, exit, stop, settle, quiet;
	};

	Limits LimitsNow() const
	{
		const uint64_t left = handover_time_left(handle_);
		const Usec budget = left == HANDOVER_FOREVER ? kDefaultBudget : Usec(left);
		const Usec exit = std::max(budget - kReserve, budget / 2);
		const Usec stop = std::min(budget * 4 / 5, exit * 9 / 10);
		return {budget, exit, stop, std::min(kSettle, stop / 8),
			std::min(kQuiet, stop / 8)};
	}

	/* Accepting has ended. Connections get a moment for their handshake, then their clients
	 * hear GOAWAY, and calls have until most of the budget is gone. */
	int Drain(grpc::Server &server)
	{
		const enum handover_reason reason = handover_drain_reason(handle_);
		if (reason == HANDOVER_REASON_STOP || reason == HANDOVER_REASON_REMOVED)
			SayNotServing(server);
		const Limits limits = LimitsNow();
		const Clock::time_point start = Clock::now();
		std::this_thread::sleep_for(limits.settle);
		std::atomic<bool> cut{false};
		std::thread watching([this, &server, &limits, &cut, start] {
			cut = WatchDrain(server, limits, start);
		});
		/* a little after those that are cut off have been named */
		const auto left = std::chrono::duration_cast<Usec>(
		    start + limits.stop + std::chrono::milliseconds(20) - Clock::now());
		server.Shutdown(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					     gpr_time_from_micros(left.count(), GPR_TIMESPAN)));
		ledger_.SetOver();
		watching.join();
		return cut ? kCut : 0;
	}

	/*
	 * Beside Shutdown(), which waits for the connections of clients that do not look, and
	 * without a limit for handlers: when all calls have ended, connections are closed; at the
	 * end of their time it says who has not finished; at the end of ours it ends the process.
	 * Whether calls are cut off.
	 */
	bool WatchDrain(grpc::Server &server, const Limits &limits, Clock::time_point start)
	{
		using Rest = Ledger::Rest;
		const Clock::time_point stop = start + limits.stop;
		Rest rest = Rest::kOver;
		if (counts_)
			rest = ledger_.WaitQuiet(limits.quiet, stop);
		else if (!ledger_.WaitOver(stop))
			rest = Rest::kLate;
		if (rest == Rest::kOver)
			return false;
		if (rest == Rest::kQuiet)
			grpc_server_cancel_all_calls(server.c_server());
		else
			SayCut(limits);
		if (ledger_.WaitOver(start + limits.exit))
			return rest == Rest::kLate;
		fflush(nullptr);
		_exit(kCut);
	}

	void SayCut(const Limits &limits)
	{
		const std::string unfinished = ledger_.Unfinished();
		fprintf(stderr,
			"%s: stopping hard after %.1fs of a budget of %.1fs, not finished: %s\n",
			program_invocation_short_name,
			std::chrono::duration<double>(limits.stop).count(),
			std::chrono::duration<double>(limits.budget).count(), unfinished.c_str());
		handover_status(handle_, ("stopping hard, not finished: " + unfinished).c_str());
	}

	struct handover *handle_ = nullptr;
	std::string error_;
	Ledger ledger_;
	bool counts_ = false;
	std::vector<Listener> listeners_;
	Listener probe_ = {"probe", nullptr, -1}; /* this worker's own, if it has one */
};

} // namespace handovergrpc

#endif
