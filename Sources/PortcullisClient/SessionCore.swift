internal import NIOConcurrencyHelpers

/// What a session and its rooms share: the machines under one lock, and what they decide done outside it.
final class SessionCore: Sendable {
    struct State {
        var isStopped = false
        var isStarted = false
        /// How many iterators there are: while somebody takes the events, none is dropped.
        var iterators = 0
        var connection: GateConnection?
        /// Ends whatever the session waits for.
        var interrupt: (@Sendable () -> Void)?
        var credential: GateCredential
        var rooms: RoomBook
        var refresh = RefreshMachine()
        var mailboxes: [String: Mailbox<Room.Event>] = [:]
        var calls: [RoomBook.Call: CheckedContinuation<RoomBook.Answer, Never>] = [:]
        var lastCall: RoomBook.Call = 0
    }

    let url: GateURL
    let options: GateConnection.Options
    let policy: ReconnectPolicy
    let settings: GateSession.Rooms
    let desk: CredentialDesk?
    let events: Mailbox<GateSession.Event>
    let state: NIOLockedValueBox<State>

    init(
        _ url: GateURL,
        _ credential: GateCredential,
        _ options: GateConnection.Options,
        _ policy: ReconnectPolicy,
        _ settings: GateSession.Rooms,
        _ credentials: GateSession.Credentials?
    ) {
        self.url = url
        self.options = options
        self.policy = policy
        self.settings = settings
        desk = credentials.map(CredentialDesk.init)
        events = Mailbox(maximumBytes: options.inboundBuffer)
        state = NIOLockedValueBox(State(credential: credential, rooms: RoomBook(bound: url.resource)))
    }

    // MARK: Beginning and end

    func start() {
        let begins = state.withLockedValue { state in
            defer { state.isStarted = true }
            return !state.isStarted && !state.isStopped
        }
        if begins { Task { await self.run() } }
    }

    func iterate() {
        state.withLockedValue { $0.iterators += 1 }
        start()
    }

    func iterationEnded() {
        state.withLockedValue { $0.iterators -= 1 }
        events.letWritersGo()
    }

    func close() {
        let (connection, interrupt, isRunning) = state.withLockedValue { state in
            state.isStopped = true
            return (state.connection, state.interrupt, state.isStarted)
        }
        interrupt?()
        desk?.cancel()
        // Nobody may be there any more to take them.
        events.liftBound()
        connection?.startClosing()
        if !isRunning { finish() }
    }

    /// After this nothing comes, neither in the session nor in its rooms.
    func finish() {
        act { state in
            state.isStopped = true
            return state.rooms.closed()
        }
        events.finish()
    }

    var isStopped: Bool {
        state.withLockedValue(\.isStopped)
    }

    // MARK: Sending

    func send(_ message: ClientMessage) async throws(GateFailure) {
        guard let connection = state.withLockedValue(\.connection) else { throw .closed }
        try await connection.send(message)
    }

    func publish(_ data: RawJSON, on resource: String) async throws(GateFailure) -> RawJSON {
        let ref = state.withLockedValue { $0.rooms.publish(on: resource) }
        guard let ref else { throw .closed }
        try await send(.publish(resource: resource, data: data, ref: ref))
        return ref
    }

    // MARK: Rooms

    func role(on resource: String) -> String? {
        state.withLockedValue { $0.rooms.role(on: resource) }
    }

    func members(of resource: String) -> [String]? {
        state.withLockedValue { $0.rooms.members(of: resource) }
    }

    func join(_ resource: String) async throws(GateFailure) -> Mailbox<Room.Event> {
        guard options.subprotocol == .v1 else { throw .invalid("Rooms take portcullis.v1.") }
        guard (1...255).contains(resource.utf8.count) else { throw .invalid("A resource has 1 to 255 bytes.") }
        start()
        try await call { $0.join(resource, call: $1) }
        return state.withLockedValue { state in
            if state.rooms.isOpen(resource) { return mailbox(of: resource, in: &state) }
            // It has ended already.
            let over = Mailbox<Room.Event>(maximumBytes: 1)
            over.finish()
            return over
        }
    }

    func leave(_ resource: String) async throws(GateFailure) {
        try await call { $0.leave(resource, call: $1) }
    }

    private func mailbox(of resource: String, in state: inout State) -> Mailbox<Room.Event> {
        if let mailbox = state.mailboxes[resource] { return mailbox }
        let mailbox = Mailbox<Room.Event>(maximumBytes: settings.buffer)
        state.mailboxes[resource] = mailbox
        return mailbox
    }

    /// Asks the book, and waits for the answer.
    private func call(_ begin: @escaping (inout RoomBook, RoomBook.Call) -> [RoomBook.Action]) async throws(GateFailure)
    {
        let id = state.withLockedValue { state in
            state.lastCall &+= 1
            return state.lastCall
        }
        let timeout = settings.answerTimeout
        let timer = Task { [weak self] in
            try await Task.sleep(for: timeout)
            self?.abandon(id, GateFailure(.timedOut, "The gate did not answer in time."))
        }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<RoomBook.Answer, Never>) in
                var refusal: GateFailure?
                act { state in
                    // Looked at under the lock: a cancellation after it finds the call in the table.
                    if Task.isCancelled { refusal = .cancelled }
                    if state.isStopped { refusal = .closed }
                    guard refusal == nil else { return [] }
                    state.calls[id] = continuation
                    return begin(&state.rooms, id)
                }
                if let refusal { continuation.resume(returning: .failed(refusal)) }
            }
        } onCancel: {
            abandon(id, .cancelled)
        }
        timer.cancel()
        if case .failed(let failure) = answer { throw failure }
    }

    private func abandon(_ id: RoomBook.Call, _ failure: GateFailure) {
        act { state in
            guard state.calls[id] != nil else { return [] }
            return [.resolve(id, .failed(failure))] + state.rooms.abandon(id)
        }
    }

    // MARK: Doing what was decided

    /// Changes the state under the lock and acts outside it.
    func act(_ decide: (inout State) -> [RoomBook.Action]) {
        let (connection, work) = state.withLockedValue { state in
            let actions = decide(&state)
            return (state.connection, actions.compactMap { self.work(for: $0, in: &state) })
        }
        for item in work { perform(item, connection) }
    }

    private enum Work {
        case send(ClientMessage)
        case deliver(Mailbox<Room.Event>, Room.Event)
        case resume(CheckedContinuation<RoomBook.Answer, Never>, RoomBook.Answer)
        case end(Mailbox<Room.Event>)
        case joinLater(String, attempt: Int)
    }

    private func work(for action: RoomBook.Action, in state: inout State) -> Work? {
        switch action {
        case .send(let message): .send(message)
        case .deliver(let resource, let event): .deliver(mailbox(of: resource, in: &state), event)
        case .resolve(let call, let answer): state.calls.removeValue(forKey: call).map { .resume($0, answer) }
        case .end(let resource): state.mailboxes.removeValue(forKey: resource).map { .end($0) }
        case .joinLater(let resource, let attempt): .joinLater(resource, attempt: attempt)
        }
    }

    private func perform(_ work: Work, _ connection: GateConnection?) {
        switch work {
        case .send(let message): connection?.startSending(message)
        case .deliver(let mailbox, let event): mailbox.add(event, size: event.size, overflow: .replaceAll(.missed))
        case .resume(let continuation, let answer): continuation.resume(returning: answer)
        case .end(let mailbox): mailbox.finish()
        case .joinLater(let resource, let attempt):
            let delay = policy.backoff(attempt: attempt, random: .random(in: 0...1))
            Task { [weak self] in
                try? await Task.sleep(for: delay)
                self?.act { $0.rooms.joinDue(resource, attempt: attempt) }
            }
        }
    }
}
