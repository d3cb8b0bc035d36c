import Foundation
import Glibc
import PortcullisClient
import PortcullisControl

/// A gate of the demo's own: `portcullis serve` on a free port, with its own Redis, in a folder that is gone afterwards.
struct LocalGate: Sendable {
    /// The program `portcullis`.
    let program: String
    let url: GateURL
    /// From the start of the program until it admitted connections.
    let startTime: Duration
    private let folder: URL
    private let child: Child

    static func start(_ program: String) async throws -> LocalGate {
        let folder = try makeFolder()
        let log = folder.appending(path: "log")
        let descriptor = open(log.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure("\(log.path) could not be written.") }
        defer { close(descriptor) }
        let began = ContinuousClock.now
        let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state-dir", folder.path]
        let child: Child
        do {
            child = try await Child.start(program, ["serve"] + arguments, output: descriptor)
        } catch {
            try? FileManager.default.removeItem(at: folder)
            throw error
        }
        do {
            let address = try await awaitAddress(child, log)
            return LocalGate(
                program: program,
                url: try GateURL("ws://\(address)/ws"),
                startTime: .now - began,
                folder: folder,
                child: child
            )
        } catch {
            await end(child, folder)
            throw error
        }
    }

    /// A unix socket's path has at most 107 bytes, and some temporary folders are deep.
    private static func makeFolder() throws(Failure) -> URL {
        let usual = FileManager.default.temporaryDirectory
        let parent = usual.path.utf8.count < 60 ? usual : URL(filePath: "/tmp")
        let folder = parent.appending(path: "portcullis-demo-\(String(UInt32.random(in: 0 ... .max), radix: 36))")
        guard mkdir(folder.path, 0o700) == 0 else { throw Failure("No folder could be made in \(parent.path).") }
        return folder
    }

    /// The gate says on its log where it listens, and when it admits.
    private static func awaitAddress(_ child: Child, _ log: URL) async throws -> String {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            let isRunning = child.isRunning
            let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            guard isRunning else {
                throw Failure("The gate did not start: \(text.split(separator: "\n").last ?? "it said nothing").")
            }
            if text.contains(" admitting connections"), let line = text.firstRange(of: " listening address=") {
                return String(text[line.upperBound...].prefix { !$0.isWhitespace })
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Failure("The gate did not admit anybody within 30 s.")
    }

    /// Ends the gate in order, which ends its Redis, and removes the folder.
    func stop() async {
        await Self.end(child, folder)
    }

    private static func end(_ child: Child, _ folder: URL) async {
        child.send(SIGTERM)
        let patience = Task {
            try await Task.sleep(for: .seconds(15))
            child.send(SIGKILL)
        }
        _ = await child.end()
        patience.cancel()
        try? FileManager.default.removeItem(at: folder)
    }

    // MARK: - What one can ask it

    /// Runs `portcullis` with these words on this gate.
    func command(_ words: [String]) async throws -> (text: String, status: Int32) {
        try await Child.output(program, words + ["--state-dir", folder.path])
    }

    /// Runs `portcullis` with these words on this gate, and shows what it says as it says it.
    func show(_ words: [String]) async throws -> Child {
        try await Child.start(program, words + ["--state-dir", folder.path], output: 1)
    }

    /// A fresh token that the gate accepts.
    func token(_ user: String, permissions: String) async throws -> PortcullisClient.Secret {
        let words = ["token", "issue", "--user", user, "--claim", "permissions=\(permissions)"]
        let (text, status) = try await command(words)
        guard status == 0 else { throw Failure("No token could be issued: \(text)") }
        return PortcullisClient.Secret(text)
    }

    /// What sends decisions to its Redis.
    func decider() throws -> Decider {
        try Decider(StateDirectory(path: folder.path))
    }

    /// What a person types to reach it from another terminal.
    var stateOption: String {
        "--state-dir \(folder.path)"
    }
}
