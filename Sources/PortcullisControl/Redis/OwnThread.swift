import Foundation

/// Runs work that blocks on a thread of its own: the threads of async code are few, and none may wait for a system call.
func onOwnThread<Value: Sendable>(_ name: String, _ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        startThread(name) { continuation.resume(returning: work()) }
    }
}

/// Starts a thread.
func startThread(_ name: String, _ work: @escaping @Sendable () -> Void) {
    let thread = Thread(block: work)
    thread.name = name
    thread.start()
}
