import ArgumentParser
import Foundation
import PortcullisClient

/// `portcullis connect`: a WebSocket client for the terminal, that shows what a gate says and does what it advises.
struct Connect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Connect to a gate, show what it sends, and send what is typed.",
        discussion: """
            A line typed is a message sent. On a connection that is bound to a resource it is published there, as JSON where it \
            is JSON and as a string where it is not; /say DATA publishes what begins with a slash. On any connection of \
            portcullis.v1: /join RESOURCE, /leave RESOURCE, /publish RESOURCE DATA; what was joined is joined anew after a \
            reconnect. With --raw a line is a text frame.

            Without a credential option the token in PORTCULLIS_TOKEN is used. A token on the command line stands in the list \
            of processes: prefer --token-file, which is read anew before the token expires and when the gate wants a fresh one.

            Where standard output is no terminal, each event is one line of it. Exit codes: 0 closed normally or by the user, \
            1 refused or closed for good, 2 usage.
            """
    )

    @Argument(help: "ws://HOST:PORT or wss://HOST:PORT, with /ws or /ws/RESOURCE behind it or nothing.")
    var url: String

    @Option(help: "A token.")
    var token: String?

    @Option(help: ArgumentHelp("A file with a token in it.", valueName: "file"))
    var tokenFile: String?

    @Option(help: "How a token is presented: header, subprotocol or first-message.")
    var tokenBy = TokenPlace.header

    @Option(help: ArgumentHelp("Trust the certificates in this file, not the system's, for wss://.", valueName: "file"))
    var ca: String?

    @Option(help: "The id of a server session, sent as a cookie.")
    var session: String?

    @Option(help: "The name of the session cookie.")
    var sessionCookie = "session_id"

    @Option(help: "A one-time ticket.")
    var ticket: String?

    @Option(help: "The resource to bind the connection to.")
    var resource: String?

    @Flag(help: "Speak no subprotocol: show and send frames as they stand.")
    var raw = false

    @Flag(help: "Print each message as it came, one line of JSON each, and how the connection closed.")
    var json = false

    @Flag(help: "Close at the end of a standard input that is no terminal, too.")
    var exitOnEof = false

    @Flag(help: "Stop at the first close, whatever the gate advises.")
    var noReconnect = false

    enum TokenPlace: String, ExpressibleByArgument, CaseIterable {
        case header
        case subprotocol
        case firstMessage = "first-message"

        func credential(_ token: Secret) -> GateCredential {
            switch self {
            case .header: .token(token)
            case .subprotocol: .subprotocolToken(token)
            case .firstMessage: .firstMessage(token: token)
            }
        }
    }

    func run() async throws {
        let plan: ConnectPlan
        do throws(ConnectPlan.Mistake) {
            plan = try ConnectPlan(self, environment: ProcessInfo.processInfo.environment)
        } catch {
            TerminalOutput.error.write("portcullis connect: \(PlainText.clean(error.sentence))\n")
            throw ExitCode(2)
        }
        let code = await ConnectRun(plan).run()
        if code != 0 { throw ExitCode(code) }
    }
}
