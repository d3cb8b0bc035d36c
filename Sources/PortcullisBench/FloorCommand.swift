import ArgumentParser
import Glibc

/// `portcullis-bench floor`
struct FloorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "floor",
        abstract: "The least a gate can do on this kernel.",
        discussion: "A byte c on standard input closes everybody at once, a byte h half-closes everybody."
    )

    @OptionGroup var server: ServerOptions

    @Option(help: ArgumentHelp("A channel of Redis whose messages go to the latest connection.", visibility: .hidden))
    var channel: String?

    @Option(help: ArgumentHelp("The unix socket of that Redis.", visibility: .hidden))
    var redisSocket: String?

    @Flag(help: "Write what one connection says to all others.")
    var broadcast = false

    func run() throws {
        try server.prepare()
        let files = Machine.raiseFileLimit()
        var floor = try Floor(
            port: server.port(),
            files: files,
            endsWithInput: server.child,
            broadcasts: broadcast
        )
        if let channel, let redisSocket {
            floor.relay(try RedisSocket.subscribed(redisSocket, to: channel))
        }
        ServerOptions.announce("127.0.0.1:\(floor.port)")
        floor.run()
    }
}

/// What both servers are told.
struct ServerOptions: ParsableArguments {
    @Option(help: "Where clients connect to; only loopback, port 0: any.")
    var listen = "127.0.0.1:0"

    @Option(help: ArgumentHelp("The core to run on.", visibility: .hidden))
    var core: Int?

    @Flag(help: ArgumentHelp("End with standard input.", visibility: .hidden))
    var child = false

    func prepare() throws {
        if let core { try Machine.pin(to: core) }
    }

    func port() throws -> UInt16 {
        guard listen.hasPrefix("127.0.0.1:"), let port = UInt16(listen.dropFirst(10)) else {
            throw ValidationError("The bench listens on 127.0.0.1:<port>.")
        }
        return port
    }

    /// Tells whoever waits for it that clients may come.
    static func announce(_ place: String) {
        write("listening \(place)\n", to: STDOUT_FILENO)
    }
}
