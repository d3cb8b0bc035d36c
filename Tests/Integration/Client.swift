import Foundation
import PortcullisReactor
import Synchronization
import TestKit

/// A raw client on a thread of its own: each frame goes into the ledger the moment that it comes.
final class Client: Sendable {
    let account: Int
    let token: String
    private let thread: LoopThread

    /// Connects and begins to read, where it is told to after a signal. The thread ends with the connection, or when the ledger's world has stopped.
    init(
        _ name: String,
        _ endpoint: Endpoint,
        path: String,
        token: String,
        _ ledger: Ledger,
        readsAfter signal: Signal? = nil
    ) throws {
        account = ledger.open(name)
        self.token = token
        let opened = Opened()
        let account = account
        thread = try LoopThread("client") {
            do {
                let peer = try WebSocketPeer.admitted(endpoint, path: path, token: token)
                guard peer.status == 101 else { throw World.Vain(description: "\(name) was refused: \(peer.body)") }
                opened.set(.success(()))
                signal?.wait()
                while true {
                    let frame = try peer.receive()
                    ledger.note(frame, account)
                    if frame == .end { return }
                }
            } catch {
                // A reset is an end too; a read that has waited in vain is none.
                opened.set(.failure(error))
                if !"\(error)".contains("timed out") { ledger.note(.end, account) }
            }
        }
        try opened.wait()
    }

    /// Waits for the end of the connection. The gate must have closed it.
    func join() {
        thread.join()
    }

    private final class Opened: Sendable {
        private let result = Mutex<Result<Void, any Error>?>(nil)
        private let semaphore = DispatchSemaphore(value: 0)

        func set(_ new: Result<Void, any Error>) {
            result.withLock { if $0 == nil { $0 = new } }
            semaphore.signal()
        }

        func wait() throws {
            semaphore.wait()
            try result.withLock { $0 }?.get()
        }
    }
}

extension WebSocketPeer {
    /// Connects to a gate that vouches: with so short a lease a busy machine's gate may fail to for a moment, in which it admits nobody.
    static func admitted(_ endpoint: Endpoint, path: String, token: String) throws -> WebSocketPeer {
        let end = Clock.boot() + 30_000_000_000
        while true {
            let peer = try WebSocketPeer(endpoint, path: path, headers: ["Authorization: Bearer \(token)"])
            if peer.status != 503 || Clock.boot() >= end { return peer }
            Thread.sleep(forTimeInterval: 0.01)
        }
    }
}

/// Something that happens once, for which one thread waits.
final class Signal: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func give() {
        semaphore.signal()
    }

    func wait() {
        semaphore.wait()
    }
}
