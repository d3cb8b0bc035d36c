import CLinux
public import Foundation
public import PortcullisRedis

/// A real redis-server of a test's own: in its own directory, on a unix socket, stopped at the end.
public final class RedisServer: @unchecked Sendable {
    // Sendable: everything but `process` is constant, and `process` is touched under the lock.
    public let directory: URL
    private let lock = NSLock()
    private var process: Process?
    private var keepAlive: Pipe?
    private let arguments: [String]

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

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
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: "/bin/bash")
        // The shell ends the server when its standard input does: also when this process dies without a word.
        let words =
            ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", directory.path, "--save", "''"]
            + ["--appendonly", "yes", "--daemonize", "no"] + arguments
        // SIGKILL: this process may have SIGTERM blocked, and a child inherits that. What Redis has answered stands in its file.
        // It closes what it inherited first, or it would hold its own input open.
        let closing = "for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -gt 2 ] && exec {n}>&-; done"
        let running = "\(words.joined(separator: " ")) >\(directory.path)/log 2>&1 & pid=$!; disown"
        process.arguments = ["-c", "\(closing); \(running); read line; kill -9 $pid"]
        process.standardInput = pipe
        try process.run()
        lock.withLock {
            self.process = process
            keepAlive = pipe
        }
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

    /// Ends it in order and waits until it is gone.
    public func stop() {
        let (process, pipe) = lock.withLock {
            defer { (self.process, keepAlive) = (nil, nil) }
            return (self.process, keepAlive)
        }
        guard let process else { return }
        try? pipe?.fileHandleForWriting.close()
        process.awaitEnd()
    }

    /// Asks over a connection of its own.
    @discardableResult
    public func ask(_ words: String...) throws -> RESPValue {
        try BlockingConnection(url, timeout: 5000).ask(Command(words.map { Array($0.utf8) }))
    }
}

extension Process {
    /// Waits until it has ended. It blocks.
    ///
    /// Foundation's own way waits for its one thread that looks after all children, and that thread waits for whichever has closed
    /// the descriptor that stands for its life, as the shell above does: a test that ends one server would wait for another test's.
    public func awaitEnd() {
        guard isRunning else { return }
        let descriptor = portcullis_pidfd_open(processIdentifier)
        // It is gone, and its status has been asked for already.
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&watched, 1, -1) < 0, errno == EINTR {}
    }
}
