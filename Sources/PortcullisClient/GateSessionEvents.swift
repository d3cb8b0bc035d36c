extension GateSession: AsyncSequence {
    public typealias Element = Event
    public typealias Failure = Never

    public enum Event: Equatable, Sendable {
        /// A connection stands. In `portcullis.v1` that is when the welcome has come (it follows as a message, too); on a raw connection
        /// there is none.
        case connected(Welcome?)
        case message(Received)
        /// A connection has ended, or there was none; and what happens next.
        case closed(Ending, next: ReconnectPolicy.Decision)
        /// The last event, where the end was not our wish.
        case gaveUp(Ending)
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(session: self)
    }

    public struct Iterator: AsyncIteratorProtocol {
        /// A connection that stood so long was a good one: what follows counts from the beginning again.
        static let steadyAfter = Duration.seconds(10)

        private enum Phase {
            case connecting
            case reading(GateConnection, since: ContinuousClock.Instant)
            case ended(Ending)
            case waiting(ReconnectPolicy.Decision, after: Ending)
            case over
        }

        private let session: GateSession
        private var phase = Phase.connecting
        private var credential: GateCredential
        private var attempt = 0
        /// A ticket works once: after a connection by it there is no use in trying it again.
        private var isSpent = false
        private var pending: Received?

        init(session: GateSession) {
            self.session = session
            credential = session.credential
        }

        public mutating func next() async -> Event? {
            while true {
                if let event = await step() { return event }
                if case .over = phase { return nil }
            }
        }

        private mutating func step() async -> Event? {
            if let message = pending {
                pending = nil
                return .message(message)
            }
            switch phase {
            case .connecting: return await connect()
            case .reading(let connection, let since): return await read(connection, since: since)
            case .ended(let ending): return decide(ending)
            case .waiting(let decision, let ending): return await wait(decision, after: ending)
            case .over: return nil
            }
        }

        private mutating func connect() async -> Event? {
            let (url, credential, options) = (session.url, credential, session.options)
            let result = await session.interruptibly { () async -> Result<GateConnection, GateFailure> in
                do throws(GateFailure) {
                    return .success(try await .connect(to: url, credential: credential, options: options))
                } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(let connection):
                session.adopt(connection)
                if case .ticket = credential { isSpent = true }
                phase = .reading(connection, since: .now)
                return options.subprotocol == .raw ? .connected(nil) : nil
            case .failure(let failure):
                phase = isCancelled ? .over : .ended(.failed(failure))
                return nil
            }
        }

        private mutating func read(_ connection: GateConnection, since: ContinuousClock.Instant) async -> Event? {
            var messages = connection.messages.makeAsyncIterator()
            if let received = await messages.next() {
                guard case .welcome(let welcome) = received.message else { return .message(received) }
                pending = received
                return .connected(welcome)
            }
            session.adopt(nil)
            guard let closed = connection.closed else {
                connection.startClosing()
                phase = .over
                return nil
            }
            if closed.arrival - since >= Self.steadyAfter { attempt = 0 }
            phase = .ended(.closed(closed))
            return nil
        }

        private mutating func decide(_ ending: Ending) -> Event? {
            var decision = session.policy.decide(
                ending,
                attempt: attempt,
                canReauthenticate: session.reauthenticate != nil,
                random: .random(in: 0...1)
            )
            if isSpent, case .retry(let after) = decision {
                decision = session.reauthenticate == nil ? .stop : .reauthenticate(after: after)
            }
            if isCancelled { decision = .stop }
            attempt += 1
            phase = .waiting(decision, after: ending)
            return .closed(ending, next: decision)
        }

        private mutating func wait(_ decision: ReconnectPolicy.Decision, after ending: Ending) async -> Event? {
            let delay: Duration
            switch decision {
            case .stop:
                return giveUp(ending)
            case .retry(let after):
                delay = after
            case .reauthenticate(let after):
                delay = after
                let ask = session.reauthenticate
                guard let fresh = await session.interruptibly({ await ask?(ending) }) else { return giveUp(ending) }
                credential = fresh
                isSpent = false
            }
            await session.interruptibly { try? await Task.sleep(for: delay) }
            phase = isCancelled ? .over : .connecting
            return nil
        }

        private mutating func giveUp(_ ending: Ending) -> Event? {
            phase = .over
            return isCancelled ? nil : .gaveUp(ending)
        }

        private var isCancelled: Bool {
            session.isStopped || Task.isCancelled
        }
    }
}
