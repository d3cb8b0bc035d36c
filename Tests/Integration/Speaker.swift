import Foundation
import PortcullisReactor
import Synchronization
import TestKit

/// Speaks in a room fifty times a second, so that whoever is served there receives something all the time.
final class Speaker: Sendable {
    private let thread: Mutex<LoopThread?>

    private final class Flag: Sendable {
        let isSet = Atomic(false)
    }

    private let flag = Flag()

    init(_ endpoint: Endpoint, path: String, token: String) throws {
        let flag = flag
        let thread = try LoopThread("speaker") {
            guard let peer = try? WebSocketPeer.admitted(endpoint, path: path, token: token), peer.status == 101
            else { return }
            var count = 0
            while !flag.isSet.load(ordering: .relaxed) {
                count += 1
                guard (try? peer.send(text: "\(count)")) != nil else { return }
                Thread.sleep(forTimeInterval: 0.02)
            }
        }
        self.thread = Mutex(thread)
    }

    /// Ends it and waits for that.
    func stop() {
        flag.isSet.store(true, ordering: .relaxed)
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
    }
}
