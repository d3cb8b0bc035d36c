public import Foundation
public import PortcullisRedis

/// A real redis-server of a test's own: in its own directory, on a unix socket, stopped at the end.
public final class RedisServer: @unchecked Sendable {
    // Sendable: what is not constant is touched under the lock.
    public let directory: URL
    private let lock = NSLock()
    private var process: ServerProcess?
    private var paused: pid_t?
    private let arguments: [String]

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter arguments: to redis-server, beside those that every one gets.
    public init(_ arguments: [String] = []) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "pc-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        self.arguments = arguments
        try start()
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(at: directory)
    }

    public var socket: String {
        directory.appending(path: "r.sock").path
    }

    public var url: RedisURL {
        RedisURL(place: .path(socket))
    }

    /// Starts it (again), on the data that it left.
    public func start() throws {
        let words =
            ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", directory.path, "--save", "''"]
            + ["--appendonly", "yes", "--daemonize", "no"] + arguments
        // What Redis has answered stands in its file.
        let process = try ServerProcess(words, log: "\(directory.path)/log")
        lock.withLock { self.process = process }
        try awaitAnswer()
    }

    private func awaitAnswer() throws {
        var last = ""
        for _ in 0..<3000 {
            do {
                let connection = try BlockingConnection(url, timeout: 2000)
                let answer = try connection.ask(Command("PING"))
                // NOAUTH is an answer too: the server is up.
                if answer.errorText?.hasPrefix("LOADING") != true { return }
            } catch {
                last = "\(error)"
                if last.contains("password") { return }
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw Failure(description: "redis-server did not start: \(last)")
    }

    /// Kills it and waits until it is gone.
    public func stop() {
        lock.withLock {
            defer { process = nil }
            return process
        }?.stop()
    }

    /// Stops it from running, as a machine that hangs does: its sockets stay, and nothing answers.
    public func pause() throws {
        let information = try ask("INFO", "server").text ?? ""
        let line = information.split(whereSeparator: \.isNewline).first { $0.hasPrefix("process_id:") }
        guard let number = line.flatMap({ pid_t($0.dropFirst(11)) }) else {
            throw Failure(description: "redis-server did not say its process id")
        }
        lock.withLock { paused = number }
        kill(number, SIGSTOP)
    }

    /// Lets it run again.
    public func resume() {
        if let number = lock.withLock({ paused }) { kill(number, SIGCONT) }
        lock.withLock { paused = nil }
    }

    /// Asks over a connection of its own.
    @discardableResult
    public func ask(_ words: String...) throws -> RESPValue {
        try BlockingConnection(url, timeout: 20_000).ask(Command(words.map { Array($0.utf8) }))
    }
}
