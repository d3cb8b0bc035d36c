extension GateSession: AsyncSequence {
    public typealias Element = Event
    public typealias Failure = Never

    public enum Event: Equatable, Sendable {
        /// A connection stands. In `portcullis.v1` that is when the welcome has come (it follows as a message, too); on a raw connection
        /// there is none.
        case connected(Welcome?)
        case message(Received)
        /// The live connection was not refreshed: the application had no token, or the gate did not take it (that one also comes as a
        /// message). The gate will close the connection when its time has come. A refresh that succeeds is the message `refreshed`.
        case refreshFailed(GateFailure)
        /// A connection has ended, or there was none; and what happens next.
        case closed(Ending, next: ReconnectPolicy.Decision)
        /// The last event, where the end was not our wish.
        case gaveUp(Ending)
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(session: self, lease: Iterator.Lease(core))
    }

    public struct Iterator: AsyncIteratorProtocol {
        /// Ends with the last copy of the iterator: a loop that was left takes no more events.
        final class Lease: Sendable {
            private let core: SessionCore

            init(_ core: SessionCore) {
                self.core = core
                core.iterate()
            }

            deinit {
                core.iterationEnded()
            }
        }

        let session: GateSession
        let lease: Lease

        /// The next event; nil at the end. A cancellation of the task ends the session.
        public mutating func next() async -> Event? {
            let core = session.core
            return await withTaskCancellationHandler {
                await core.events.next()
            } onCancel: {
                core.close()
            }
        }
    }
}

extension GateSession.Event {
    /// How much of the queue's bound it takes.
    var size: Int {
        guard case .message(let received) = self else { return 0 }
        return received.payload.size
    }
}
