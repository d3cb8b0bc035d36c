public import Logging
import PortcullisCore
public import PortcullisGate
import PortcullisReactor
public import ServiceLifecycle

/// The data plane as a service: it runs from its making, and ends in order.
public final class GateService: Service {
    public let gate: Gate

    /// Starts the gate.
    /// - Parameter keys: who fetches keys, where some are fetched.
    public init(
        _ configuration: GateConfiguration,
        keys: KeyRefresher? = nil,
        logger: Logger
    ) throws(StartupError) {
        let journal = GateJournal(logger: logger)
        do throws(SocketError) {
            gate = try Gate(configuration) { report in
                if case .unknownKey(let unknown) = report { keys?.unknownKey(unknown) }
                journal.write(report)
            }
            keys?.serve(gate)
        } catch {
            throw StartupError(
                error.isAddressInUse
                    ? "\(configuration.listen) is in use by another program: stop that one, or set listen to another address."
                    : "The gate can't start: \(error)."
            )
        }
    }

    public func run() async throws {
        try? await gracefulShutdown()
        await withCheckedContinuation { continuation in
            // Joining threads blocks: on a thread of its own.
            let gate = gate
            let thread = try? LoopThread("drain") {
                gate.stop()
                continuation.resume()
            }
            if thread == nil {
                gate.stop()
                continuation.resume()
            }
        }
    }
}

extension GateStatus {
    /// What `/readyz` shows of it.
    public var report: ReadinessReport {
        ReadinessReport(
            isReady: isReady,
            position: position.isEmpty ? nil : position,
            stalenessMilliseconds: staleness?.count,
            probeMilliseconds: probe?.count,
            isFrozen: isFrozen,
            unknownEvents: unknownEvents,
            connections: connections
        )
    }
}
