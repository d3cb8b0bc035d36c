import Foundation
import PortcullisReactor
public import PortcullisRedis
import Synchronization

/// Stands between gates and a Redis and does to their links what a network does: it drops, stalls, swallows and cuts. On unix sockets.
///
/// A fault that is set counts for every byte that comes from there on. What was held by a stall is delivered within moments of its end.
public final class FaultProxy: Sendable {
    public let socket: String
    private let work: ProxyWork
    private let thread: Mutex<LoopThread?>

    /// - Parameter target: the socket of the Redis behind it.
    public init(to target: String) throws {
        let folder = FileManager.default.temporaryDirectory
        socket = folder.appending(path: "fp-\(UInt32.random(in: 0 ... .max)).sock").path
        // The thread holds the work, not the proxy: the end of the proxy stops it.
        let work = try ProxyWork(at: socket, to: target)
        self.work = work
        thread = Mutex(try LoopThread("fault proxy") { work.run() })
    }

    deinit {
        stop()
    }

    /// Where gates find it.
    public var url: RedisURL {
        RedisURL(place: .path(socket))
    }

    public var counts: FaultCounts {
        work.state.withLock { $0.counts }
    }

    /// Sets what is done to bytes; the last setting of a scope counts. One without a scope replaces all that were set.
    public func set(_ fault: Fault, _ link: FaultScope.Link? = nil, _ direction: FaultScope.Direction? = nil) {
        work.state.withLock { state in
            if link == nil, direction == nil { state.faults = [] }
            state.faults.append((FaultScope(link, direction), fault))
        }
    }

    /// Closes the links of a kind, or all.
    public func cut(_ link: FaultScope.Link? = nil) {
        work.state.withLock { $0.cuts.append(link) }
    }

    /// Whether new links are closed at once.
    public func refuse(_ refuses: Bool) {
        work.state.withLock { $0.isRefusing = refuses }
    }

    /// Closes everything and waits until the thread has ended.
    public func stop() {
        work.state.withLock { $0.isStopping = true }
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }
}
