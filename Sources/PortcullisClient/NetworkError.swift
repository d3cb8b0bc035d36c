internal import Foundation
internal import NIOCore
internal import NIOPosix

/// Errors of the transport, in words for people.
enum NetworkError {
    static func sentence(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            let causes = error.connectionErrors.map { sentence($0.error) }
            return causes.first ?? "The name \(error.host) could not be resolved."
        case let error as IOError:
            return "The connection failed: \(String(cString: strerror(error.errnoCode)).lowercased())."
        case ChannelError.connectTimeout:
            return "Nobody answered in time."
        case is ChannelError:
            return "The connection was lost."
        case _ where Transport.failure(error) != nil:
            return Transport.failure(error)?.detail ?? ""
        default:
            return "The connection failed: \(error)."
        }
    }

    /// What an error during the handshake means.
    static func failure(_ error: any Error) -> GateFailure {
        if let failure = Transport.failure(error) { return failure }
        switch error {
        case let failure as GateFailure:
            return failure
        case is CancellationError:
            return .cancelled
        case ChannelError.connectTimeout:
            return GateFailure(.timedOut, "Nobody answered in time.")
        case is NIOConnectionError, is IOError:
            return GateFailure(.unreachable, sentence(error))
        case is ChannelError:
            return GateFailure(.unreachable, "The connection was closed before the handshake was answered.")
        default:
            return GateFailure(.unreachable, sentence(error))
        }
    }
}
