internal import NIOConcurrencyHelpers

/// The life of a session: connect, serve, end, wait, again.
extension SessionCore {
    /// A connection that stood so long was a good one: what follows counts from the beginning again.
    private static let steadyAfter = Duration.seconds(10)

    func run() async {
        var attempt = 0
        // A ticket works once: after a connection by it there is no use in trying it again.
        var isSpent = false
        while !isStopped {
            let ending: Ending
            switch await open() {
            case .success(let connection):
                if case .ticket = state.withLockedValue(\.credential) { isSpent = true }
                let began = ContinuousClock.now
                guard let closed = await serve(connection) else { return finish() }
                if closed.arrival - began >= Self.steadyAfter { attempt = 0 }
                ending = .closed(closed)
            case .failure(let failure):
                if isStopped { return finish() }
                ending = .failed(failure)
            }
            let decision = decide(ending, attempt: attempt, isSpent: isSpent)
            attempt += 1
            await emit(.closed(ending, next: decision))
            guard await wait(decision, after: ending, isSpent: &isSpent) else {
                if !isStopped { await emit(.gaveUp(ending)) }
                break
            }
        }
        finish()
    }

    private func open() async -> Result<GateConnection, GateFailure> {
        let (url, options) = (url, options)
        let credential = state.withLockedValue(\.credential)
        return await interruptibly {
            do throws(GateFailure) {
                return .success(try await .connect(to: url, credential: credential, options: options))
            } catch {
                return .failure(error)
            }
        }
    }

    /// Passes on what comes to the end of the connection, and returns how it ended.
    private func serve(_ connection: GateConnection) async -> Closed? {
        let isStopped = state.withLockedValue { state in
            state.connection = connection
            return state.isStopped
        }
        if isStopped { connection.startClosing() }
        var isWelcomed = false
        if options.subprotocol == .raw { await emit(.connected(nil)) }
        for await received in connection.messages {
            // A second welcome is a message like any other that makes no sense.
            if case .welcome(let welcome) = received.message, !isWelcomed {
                isWelcomed = true
                act { $0.rooms.connected(welcome) }
                await emit(.connected(welcome))
            }
            let isRooms = take(received.message)
            if !isRooms || settings.areEvents { await emit(.message(received)) }
        }
        act { state in
            state.connection = nil
            state.refresh.ended()
            return state.rooms.disconnected()
        }
        return connection.closed
    }

    /// Lets the machines see a message; true where it belongs to a room alone.
    private func take(_ message: ServerMessage) -> Bool {
        var refresh: [RefreshMachine.Action] = []
        var belongsToRoom = false
        act { state in
            switch message {
            case .expiring(_, let seconds):
                if desk != nil { refresh = [state.refresh.expiring(inSeconds: seconds)] }
            case .reauthenticate(let deadline, let reason):
                if desk != nil { refresh = [state.refresh.reauthenticate(deadlineSeconds: deadline, reason: reason)] }
            case .refreshed: refresh = state.refresh.refreshed()
            case .error(let error) where error.ref == nil: refresh = state.refresh.rejected(error)
            case .message(let relayed): belongsToRoom = state.rooms.isOpen(relayed.resource)
            case .missed(let resource): belongsToRoom = state.rooms.isOpen(resource)
            default: break
            }
            return state.rooms.received(message)
        }
        for action in refresh { perform(action) }
        return belongsToRoom
    }

    private func perform(_ action: RefreshMachine.Action) {
        switch action {
        case .none:
            break
        case .ask(let request, let connection):
            guard let desk else { break }
            Task { [weak self] in
                let answer = await desk.ask(request)
                guard let self else { return }
                let next = self.state.withLockedValue { $0.refresh.answered(answer, connection: connection) }
                for action in next { self.perform(action) }
            }
        case .send(let token):
            state.withLockedValue(\.connection)?.startSending(.refresh(token: token))
        case .keep(let credential):
            state.withLockedValue { $0.credential = credential }
        case .fail(let failure):
            add(.refreshFailed(failure))
        }
    }

    private func decide(_ ending: Ending, attempt: Int, isSpent: Bool) -> ReconnectPolicy.Decision {
        if isStopped { return .stop }
        let decision = policy.decide(
            ending,
            attempt: attempt,
            canReauthenticate: desk != nil,
            random: .random(in: 0...1)
        )
        if isSpent, case .retry(let after) = decision {
            return desk == nil ? .stop : .reauthenticate(after: after)
        }
        return decision
    }

    /// False where there is no next connection.
    private func wait(
        _ decision: ReconnectPolicy.Decision,
        after ending: Ending,
        isSpent: inout Bool
    ) async -> Bool {
        let delay: Duration
        switch decision {
        case .stop:
            return false
        case .retry(let after):
            delay = after
        case .reauthenticate(let after):
            delay = after
            guard let desk else { return false }
            let answer = await interruptibly { await desk.ask(.reconnect(ending)) }
            guard case .credential(let fresh) = answer else { return false }
            state.withLockedValue { $0.credential = fresh }
            isSpent = false
        }
        await interruptibly { try? await Task.sleep(for: delay) }
        return !isStopped
    }

    // MARK: Events

    /// Adds an event, and waits for room behind it where somebody takes them.
    private func emit(_ event: GateSession.Event) async {
        if !add(event) { await events.waitForRoom() }
    }

    @discardableResult
    private func add(_ event: GateSession.Event) -> Bool {
        let isIterated = state.withLockedValue { $0.iterators > 0 }
        return events.add(event, size: event.size, overflow: isIterated ? .wait : .dropOldest) || !isIterated
    }

    /// Waits for something that `close` can end.
    private func interruptibly<Result: Sendable>(_ work: @escaping @Sendable () async -> Result) async -> Result {
        let task = Task(operation: work)
        let isStopped = state.withLockedValue { state in
            state.interrupt = { task.cancel() }
            return state.isStopped
        }
        if isStopped { task.cancel() }
        let result = await task.value
        state.withLockedValue { $0.interrupt = nil }
        return result
    }
}
