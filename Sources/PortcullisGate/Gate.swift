import PortcullisCrypto
public import PortcullisReactor
public import PortcullisTokens
import Synchronization

/// The data plane: it holds the connections, follows Redis, and cuts off whom a decision names.
public final class Gate: Sendable {
    let shared: GateShared
    private let threads: Mutex<[LoopThread]>
    /// Where clients connect to; the port is the one that the kernel chose where 0 was asked for.
    public let endpoint: Endpoint

    /// Binds and starts the loops. Handshakes are refused until the view of the log is whole.
    ///
    /// - Parameter report: called from the loops' threads; it must not block.
    /// - Throws: what could not be had: the port, a descriptor, a thread.
    public init(
        _ configuration: GateConfiguration,
        report: @escaping @Sendable (GateReport) -> Void
    ) throws(SocketError) {
        var listeners: [ListeningSocket?] = []
        var endpoint = configuration.listen
        switch endpoint {
        case .unix: listeners = [try ListeningSocket(endpoint)] + Array(repeating: nil, count: configuration.loops - 1)
        case .tcp(_, let port):
            // A port that several sockets share is shared with strangers too: it must be free before ours share it. One that the kernel
            // chooses is, and let go for a moment it could be given to somebody else.
            if port != 0 { try ListeningSocket(endpoint).close() }
            for _ in 0..<configuration.loops {
                let listener = try ListeningSocket(endpoint, reusePort: true)
                endpoint = listener.endpoint
                listeners.append(listener)
            }
        }
        var mailboxes: [Mailbox<LoopMessage>] = []
        for _ in 0..<configuration.loops { mailboxes.append(try Mailbox()) }
        var actual = configuration
        actual.listen = endpoint
        let instance = UInt32.random(in: 1 ... .max)
        let shared = GateShared(actual, instance: instance, mailboxes: mailboxes, report: report)
        self.shared = shared
        self.endpoint = endpoint
        threads = Mutex([])
        do throws(SocketError) {
            for index in listeners.indices {
                let listener = listeners[index]
                let thread = try LoopThread("loop \(index)") {
                    do throws(SocketError) {
                        try GateLoop(index: index, shared: shared, listener: listener).run()
                    } catch {
                        shared.report(.loopFailed("\(error)"))
                        shared.relaying[index].end()
                        shared.mailboxes[0].post(.drained(loop: index))
                    }
                }
                threads.withLock { $0.append(thread) }
            }
        } catch {
            // The first loop waits for the others to end: those that never began have.
            let begun = threads.withLock { $0.count }
            for index in begun..<listeners.count { mailboxes[0].post(.drained(loop: index)) }
            stop()
            throw error
        }
    }

    /// What readiness shows, as of a moment ago.
    public var status: GateStatus {
        shared.status.withLock { $0 }
    }

    /// Verifies tokens by other keys from here on. Handshakes of a key that is gone are refused at once, and its connections closed
    /// where the configuration says so. Returns when every loop has been told.
    public func replaceTokens(_ policy: TokenPolicy) {
        shared.keyRegister.withLock { register in
            shared.tellAll(.keysReplaced(register.enter(policy)))
        }
    }

    /// Begins to stop: nobody is admitted any more, all are told and closed within `drain.deadline`. Returns at once.
    public func beginDraining() {
        shared.tellAll(.drain)
    }

    /// Stops and waits until the last loop has ended. Blocks.
    public func stop() {
        beginDraining()
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
        if !threads.isEmpty { shared.report(.stopped) }
    }
}
