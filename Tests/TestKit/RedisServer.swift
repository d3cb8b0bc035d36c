public import Foundation
public import PortcullisRedis

/// A real redis-server of a test's own: in its own directory, on a unix socket, stopped at the end.
public final class RedisServer: @unchecked Sendable {
    // Sendable: everything but `process` is constant, and `process` is touched under the lock.
    public let directory: URL
    private let lock = NSLock()
    private var process: ServerProcess?
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
        for _ in 0..<500 {
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

    /// Asks over a connection of its own.
    @discardableResult
    public func ask(_ words: String...) throws -> RESPValue {
        try BlockingConnection(url, timeout: 5000).ask(Command(words.map { Array($0.utf8) }))
    }
}
