internal import NIOConcurrencyHelpers

/// What came of asking for a credential.
enum CredentialAnswer: Equatable, Sendable {
    case credential(GateCredential)
    case failed(GateFailure)
    case cancelled
}

/// Asks the application for credentials, one call at a time: whoever asks during a call shares its credential.
final class CredentialDesk: Sendable {
    private typealias Call = Task<CredentialAnswer, Never>

    private let source: GateSession.Credentials
    private let running = NIOLockedValueBox<(number: UInt64, call: Call?)>((0, nil))

    init(_ source: @escaping GateSession.Credentials) {
        self.source = source
    }

    /// Returns at once when the task is cancelled, also where the application goes on.
    func ask(_ request: CredentialRequest) async -> CredentialAnswer {
        let call = running.withLockedValue { running -> Call in
            let previous = running.call
            let number = running.number &+ 1
            let call = Call {
                // A call that brought nothing is no answer to this request.
                if let shared = await previous?.value, case .credential = shared {
                    self.done(number)
                    return shared
                }
                let answer = Task.isCancelled ? .cancelled : await self.call(request)
                self.done(number)
                return answer
            }
            running = (number, call)
            return call
        }
        let answer = Mailbox<CredentialAnswer>(maximumBytes: 1)
        Task { answer.add(await call.value) }
        return await answer.next() ?? .cancelled
    }

    /// Tells the application that nobody waits any more.
    func cancel() {
        running.withLockedValue(\.call)?.cancel()
    }

    private func done(_ number: UInt64) {
        running.withLockedValue { running in
            if running.number == number { running.call = nil }
        }
    }

    private func call(_ request: CredentialRequest) async -> CredentialAnswer {
        do {
            guard let credential = try await source(request) else {
                return .failed(GateFailure(.noCredential, "There is no fresh credential."))
            }
            return .credential(credential)
        } catch is CancellationError {
            return .cancelled
        } catch {
            // Its words may hold what must not be printed; whoever threw it knows them.
            return .failed(GateFailure(.noCredential, "No fresh credential: \(type(of: error)) was thrown."))
        }
    }
}
