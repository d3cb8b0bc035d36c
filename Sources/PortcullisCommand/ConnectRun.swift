import Foundation
import PortcullisClient
import Synchronization

/// One run of the command: events to the screen, lines to the gate, until one of them ends it.
final class ConnectRun: Sendable {
    private struct State {
        /// How many connections there have been.
        var connections = 0
        var isConnected = false
        var wasEndedByUser = false
        /// What a line without a command is published on.
        var resource: String?
        var user: String?
        /// The role on that resource.
        var role: String?
        /// Input that waits for a connection.
        var waiters: [CheckedContinuation<Void, Never>] = []
        /// What was joined by a command: a room is joined anew by the session.
        var rooms: [String: Room] = [:]
    }

    private let plan: ConnectPlan
    private let session: GateSession
    private let screen: TerminalScreen
    private let state: Mutex<State>

    init(_ plan: ConnectPlan) {
        self.plan = plan
        screen = TerminalScreen(isJSON: plan.isJSON)
        state = Mutex(State(resource: plan.url.resource))
        var options = GateConnection.Options()
        options.subprotocol = plan.subprotocol
        options.trustedRoots = plan.trustedRoots
        var rooms = GateSession.Rooms()
        // One screen shows all of them, in the order in which it came.
        rooms.areEvents = true
        session = GateSession(
            url: plan.url,
            credential: plan.credential,
            options: options,
            policy: plan.reconnects ? ReconnectPolicy() : .never,
            rooms: rooms,
            credentials: plan.freshCredentials
        )
    }

    /// Returns the exit code.
    func run() async -> Int32 {
        let signals = TerminalSignals { self.endByUser() }
        if plan.credential == .none { screen.note("no credential given, connecting without one") }
        screen.status("connecting to \(PlainText.clean(plan.url.description, limit: 200)) …")
        let input = Task { await readInput() }
        let code = await showEvents()
        input.cancel()
        resumeInput()
        screen.finish()
        signals.stop()
        return code
    }

    private func endByUser() {
        state.withLock { $0.wasEndedByUser = true }
        session.close()
    }

    // MARK: Events

    private func showEvents() async -> Int32 {
        var code: Int32 = 0
        events: for await event in session {
            switch event {
            case .connected(let welcome):
                connected(welcome)
            case .message(let received):
                if case .permission(let change) = received.message { permissionChanged(change) }
                if !screen.show(plan.isJSON ? ConnectJSON.line(received, plan.subprotocol) : ConnectLine(received)) {
                    // Nobody reads any more: `| head` is a way to end it.
                    endByUser()
                }
            case .refreshFailed(let failure):
                _ = screen.show(plan.isJSON ? ConnectJSON.line(failure) : ConnectLine(failure))
            case .closed(let ending, let decision):
                let next = isHopeless(ending) ? .stop : decision
                state.withLock { $0.isConnected = false }
                _ = screen.show(plan.isJSON ? ConnectJSON.line(ending, next) : ConnectLine(ending, next))
                screen.status(next == .stop ? "" : "not connected")
                code = ending.isNormal ? 0 : 1
                if next == .stop {
                    session.close()
                    break events
                }
            case .gaveUp:
                break
            }
        }
        return state.withLock(\.wasEndedByUser) ? 0 : code
    }

    private func connected(_ welcome: Welcome?) {
        state.withLock { state in
            state.isConnected = true
            state.connections += 1
            state.resource = welcome?.resource ?? state.resource
            state.user = welcome?.user
            state.role = welcome?.role
        }
        resumeInput()
        showStatus()
    }

    private func permissionChanged(_ change: PermissionChange) {
        let isHere = state.withLock { state in
            guard change.resource == state.resource else { return false }
            state.role = change.to
            return true
        }
        if isHere { showStatus() }
    }

    /// Who one is, where, and what one may do there.
    private func showStatus() {
        let (user, resource, role) = state.withLock { ($0.user, $0.resource, $0.role) }
        let place = resource.map { " · " + PlainText.clean($0, limit: 60) } ?? ""
        let may = role.map { " (" + PlainText.clean($0, limit: 20) + ")" } ?? ""
        screen.status((user.map { PlainText.clean($0, limit: 60) } ?? "connected") + place + may)
    }

    /// An address where nobody has answered yet: whoever typed it wants to know, not to wait.
    private func isHopeless(_ ending: Ending) -> Bool {
        guard case .failed(let failure) = ending, failure.kind != .refused else { return false }
        return state.withLock(\.connections) == 0
    }

    // MARK: Input

    private func readInput() async {
        let input = TerminalInput()
        for await line in input.lines {
            await take(line, isTyped: input.isTerminal)
            if Task.isCancelled { return }
            screen.prompt()
            input.taken()
        }
        if !Task.isCancelled, input.isTerminal || plan.exitsOnEnd { endByUser() }
    }

    private func take(_ line: TerminalInput.Line, isTyped: Bool) async {
        // What the line means depends on the welcome.
        if !isTyped { await waitForConnection(after: 0) }
        guard case .text(let text) = line else {
            return screen.note("a line of more than \(TerminalInput.maximumLine) bytes, or not of UTF-8, was not sent")
        }
        let resource = state.withLock(\.resource)
        switch TypedLine.read(text, subprotocol: plan.subprotocol, resource: resource) {
        case .success(nil):
            break
        case .success(let message?):
            await send(message, isTyped: isTyped)
        case .failure(let misunderstood):
            screen.note(misunderstood.sentence)
        }
    }

    private func send(_ message: ClientMessage, isTyped: Bool) async {
        switch message {
        case .join(let resource, _): return await join(resource)
        case .leave(let resource, _):
            if let room = state.withLock({ $0.rooms.removeValue(forKey: resource) }) { return await leave(room) }
        default: break
        }
        while !Task.isCancelled {
            let connections = state.withLock(\.connections)
            do throws(GateFailure) {
                return try await session.send(message)
            } catch {
                guard error.kind == .closed, !isTyped else {
                    return screen.note("not sent: \(PlainText.clean(error.detail))")
                }
                // A person sees that it was not sent; from a pipe it waits for the next connection.
                await waitForConnection(after: connections)
            }
        }
    }

    private func join(_ resource: String) async {
        do throws(GateFailure) {
            let room = try await session.join(resource)
            state.withLock { $0.rooms[resource] = room }
        } catch {
            note(error, "joined")
        }
    }

    private func leave(_ room: Room) async {
        do throws(GateFailure) {
            try await room.leave()
        } catch {
            note(error, "left")
        }
    }

    private func note(_ failure: GateFailure, _ verb: String) {
        // What the gate answered stands on the screen already.
        guard failure.kind != .rejected else { return }
        screen.note("not \(verb): \(PlainText.clean(failure.detail, limit: 1000))")
    }

    private func waitForConnection(after connections: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                let isNew = state.isConnected && state.connections > connections
                guard !isNew, !Task.isCancelled else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    private func resumeInput() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
