internal import NIOConcurrencyHelpers

/// A connection that is made again when it ends, as its gate advises: a sequence of what happens.
///
/// ```swift
/// let session = GateSession(url: url, credential: .token(token)) { _ in .token(await freshToken()) }
/// for await event in session { … }
/// ```
///
/// Nothing runs while nobody iterates; it is meant to be iterated by one task, once. Cancelling that task ends it all.
public final class GateSession: Sendable {
    /// Asked where a gate wants a fresh credential; nil means that there is none.
    public typealias Reauthenticate = @Sendable (Ending) async -> GateCredential?

    private struct State {
        var isStopped = false
        var connection: GateConnection?
        /// Ends whatever the iteration waits for.
        var interrupt: (@Sendable () -> Void)?
    }

    public let url: GateURL
    let credential: GateCredential
    let options: GateConnection.Options
    let policy: ReconnectPolicy
    let reauthenticate: Reauthenticate?
    private let state = NIOLockedValueBox(State())

    public init(
        url: GateURL,
        credential: GateCredential,
        options: GateConnection.Options = .init(),
        policy: ReconnectPolicy = .init(),
        reauthenticate: Reauthenticate? = nil
    ) {
        self.url = url
        self.credential = credential
        self.options = options
        self.policy = policy
        self.reauthenticate = reauthenticate
    }

    /// Sends a message on the connection of the moment.
    ///
    /// - Throws: ``GateFailure`` of the kind `closed` while there is none: nothing is kept for later.
    public func send(_ message: ClientMessage) async throws(GateFailure) {
        guard let connection = state.withLockedValue(\.connection) else { throw .closed }
        try await connection.send(message)
    }

    /// Says goodbye to the gate and connects no more: the sequence ends, with `closed` if there was a connection.
    public func close() {
        let (connection, interrupt) = state.withLockedValue { state in
            state.isStopped = true
            return (state.connection, state.interrupt)
        }
        interrupt?()
        connection?.startClosing()
    }

    var isStopped: Bool {
        state.withLockedValue(\.isStopped)
    }

    /// Makes a connection the one of the moment; one that comes after `close` is closed.
    func adopt(_ connection: GateConnection?) {
        let isStopped = state.withLockedValue { state in
            state.connection = connection
            return state.isStopped
        }
        if isStopped { connection?.startClosing() }
    }

    /// Waits for something that `close` and a cancellation can end.
    func interruptibly<Result: Sendable>(_ work: @escaping @Sendable () async -> Result) async -> Result {
        let task = Task(operation: work)
        let isStopped = state.withLockedValue { state in
            state.interrupt = { task.cancel() }
            return state.isStopped
        }
        if isStopped { task.cancel() }
        let result = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        state.withLockedValue { $0.interrupt = nil }
        return result
    }
}
