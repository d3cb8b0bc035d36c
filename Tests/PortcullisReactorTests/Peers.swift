import Foundation
import PortcullisReactor
import Synchronization

/// What an engine tells of a stream.
enum Told: Equatable {
    case accepted
    case connected
    case received
    case drained
    case gone(Gone)

    var isGone: Bool {
        if case .gone = self { true } else { false }
    }
}

/// What was told and received, and whoever waits for it.
final class Transcript: @unchecked Sendable {
    // Sendable: all is touched under the condition's lock.
    private let condition = NSCondition()
    private var entries: [(StreamID, Told)] = []
    private var bytes: [StreamID: [UInt8]] = [:]

    func append(_ stream: StreamID, _ told: Told, _ more: [UInt8] = []) {
        condition.withLock {
            entries.append((stream, told))
            bytes[stream, default: []] += more
            condition.broadcast()
        }
    }

    /// Waits until something has been told so often; false after ten seconds.
    func wait(for told: Told, times: Int = 1) -> Bool {
        wait { $0.count { $0.1 == told } >= times }
    }

    func wait(_ isEnough: ([(StreamID, Told)]) -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: 10)
        return condition.withLock {
            while !isEnough(entries) {
                guard condition.wait(until: deadline) else { return false }
            }
            return true
        }
    }

    func all(_ stream: StreamID) -> [Told] {
        condition.withLock { entries.filter { $0.0 == stream }.map(\.1) }
    }

    func streams(_ told: Told) -> [StreamID] {
        condition.withLock { entries.filter { $0.1 == told }.map(\.0) }
    }

    func received(_ stream: StreamID) -> [UInt8] {
        condition.withLock { bytes[stream] ?? [] }
    }
}

/// An engine on a thread of its own that listens on a free port of 127.0.0.1. The script runs on that thread.
final class EngineUnderTest: Sendable {
    typealias Script = @Sendable (Engine, StreamID, Told, [UInt8]) -> Void
    typealias Job = @Sendable (Engine) -> Void

    private final class Delegate: EngineDelegate {
        private let engine: Engine
        private let mailbox: Mailbox<Job?>
        private let transcript: Transcript
        private let script: Script
        private var isEnding = false

        init(_ engine: Engine, _ mailbox: Mailbox<Job?>, _ transcript: Transcript, _ script: @escaping Script) {
            self.engine = engine
            self.mailbox = mailbox
            self.transcript = transcript
            self.script = script
        }

        func turnBegan() {
            var batch: [Job??] = []
            mailbox.drain(into: &batch)
            for case let job? in batch {
                if let job { job(engine) } else { isEnding = true }
            }
        }

        private func tell(_ stream: StreamID, _ told: Told, _ bytes: [UInt8] = []) {
            transcript.append(stream, told, bytes)
            script(engine, stream, told, bytes)
        }

        func accepted(_ stream: StreamID, from peer: PeerAddress?) {
            tell(stream, .accepted)
        }

        func connected(_ stream: StreamID) {
            tell(stream, .connected)
        }

        func received(_ stream: StreamID, _ bytes: Span<UInt8>) {
            tell(stream, .received, bytes.indices.map { bytes[$0] })
        }

        func drained(_ stream: StreamID) {
            tell(stream, .drained)
        }

        func gone(_ stream: StreamID, _ reason: Gone) {
            tell(stream, .gone(reason))
        }

        func acceptFailed(_ errno: Int32) {}

        func linksServed() {}

        func turnEnded() -> Int32? {
            isEnding ? nil : -1
        }
    }

    let endpoint: Endpoint
    let transcript = Transcript()
    private let mailbox: Mailbox<Job?>
    private let thread: LoopThread

    /// - Parameter tls: how clients' streams are secured; nil: not at all.
    init(tls: TLSContext? = nil, _ script: @escaping Script) throws {
        let listener = try ListeningSocket(.tcp(address: "127.0.0.1", port: 0))
        let mailbox = try Mailbox<Job?>()
        let transcript = transcript
        endpoint = listener.endpoint
        self.mailbox = mailbox
        thread = try LoopThread("engine") {
            guard let engine = try? Engine(waker: mailbox.waker, listener: listener, tls: tls) else { return }
            engine.run(Delegate(engine, mailbox, transcript, script))
        }
    }

    static let echo: Script = { engine, stream, told, bytes in
        if told == .received { engine.send(stream, bytes) }
    }

    /// Runs something on the engine's thread, which may be waiting for ever, and gives its result.
    func run<Value: Sendable>(_ body: @escaping @Sendable (Engine) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            mailbox.post { continuation.resume(returning: body($0)) }
        }
    }

    /// Ends the engine and waits for its thread.
    func stop() {
        mailbox.post(nil)
        thread.join()
    }

    func peer(_ tls: TLSClient? = nil) throws -> BlockingSocket {
        try BlockingSocket(endpoint, timeout: 10_000, securedBy: tls)
    }
}

extension BlockingSocket {
    /// Reads exactly so many bytes, fewer where the stream ends.
    func read(count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try read()
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }

    func readToEnd() throws -> [UInt8] {
        try read(count: .max)
    }
}
