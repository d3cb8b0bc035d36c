import Dispatch
import Foundation
import Glibc
import PortcullisClient
import Synchronization

/// Tells the story on a gate of its own; then, at a terminal, gives the person a prompt.
///
/// Whatever happens, it ends the gate in order before it ends itself.
@main
enum Main {
    static func main() async {
        let terminal = Terminal(environment: ProcessInfo.processInfo.environment)
        let words = CommandLine.arguments.dropFirst()
        let isTour = words.last == "--tour"
        guard words.count == (isTour ? 3 : 2), words.first == "--portcullis", let program = words.dropFirst().first
        else {
            terminal.failure("Start it with demo/start.")
            exit(2)
        }
        let work = Task { try await run(program, isTour: isTour, terminal) }
        let interruption = Interruption { work.cancel() }
        do {
            try await work.value
            exit(0)
        } catch {
            if let signal = interruption.signal { exit(128 + signal) }
            terminal.failure("\(error)")
            exit(1)
        }
    }

    private static func run(_ program: String, isTour: Bool, _ terminal: Terminal) async throws {
        terminal.line()
        terminal.line("  " + terminal.styled("Portcullis", .bold) + ": cut off exactly the revoked ones, at once.")
        terminal.line()
        let gate = try await LocalGate.start(program)
        do {
            let alice = try await Tour(gate: gate, terminal: terminal).run()
            terminal.line()
            terminal.remark("Every step happened. Each time runs from just before the command goes to Redis,")
            terminal.remark("or a client sends, until a client has read the effect from its socket.")
            terminal.line()
            if terminal.isInteractive, !isTour {
                try await Prompt(gate: gate, terminal: terminal).run(with: alice)
            }
            await alice.connection.close()
        } catch {
            await gate.stop()
            throw error
        }
        await gate.stop()
    }
}

/// Ctrl-C, an order to end, or a closed terminal: a wish to end, which leaves time for doing so in order.
final class Interruption {
    private final class First: Sendable {
        let number = Mutex<Int32?>(nil)
    }

    private let first: First
    private let sources: [any DispatchSourceSignal]

    init(_ end: @escaping @Sendable () -> Void) {
        let first = First()
        self.first = first
        // A reader that has gone shows in the write.
        Glibc.signal(SIGPIPE, SIG_IGN)
        sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            // The default would end the process before the gate.
            Glibc.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                first.number.withLock { $0 = $0 ?? number }
                end()
            }
            source.activate()
            return source
        }
    }

    /// The first that came.
    var signal: Int32? {
        first.number.withLock { $0 }
    }
}
