import CLinux
import Glibc

/// Clients that connect.
extension Engine {
    func accept(_ delegate: some EngineDelegate) {
        guard let listener else { return }
        for _ in 0..<Self.acceptsPerTurn where !isPaused {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            // The storage is large enough for every kind of address.
            let descriptor = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept4(listener.descriptor, $0, &length, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
                }
            }
            if descriptor < 0 {
                switch errno {
                case EAGAIN: return
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    // Level-triggered: left in the set it would wake the loop without end.
                    let number = errno
                    runShort()
                    delegate.acceptFailed(number)
                    return
                // The connection was gone before it was accepted.
                default: continue
                }
            }
            var session: TLSSession?
            if let tls, !securesLater {
                session = TLSSession(tls, name: nil, descriptor: descriptor)
                guard session != nil else {
                    Glibc.close(descriptor)
                    delegate.acceptFailed(ENOMEM)
                    return
                }
            }
            let stream = open(descriptor, session == nil ? .open : .securing, isLink: false, session)
            clientCount += 1
            delegate.accepted(stream, from: PeerAddress(storage))
        }
    }

    /// Nobody is accepted for a while.
    func runShort() {
        watchListener(false)
        isShort = true
        retryAcceptAt = Clock.boot() + Self.shortage
    }

    /// Stops accepting; connections wait in the backlog.
    public func pauseAccepting() {
        isPaused = true
        watchListener(false)
    }

    public func resumeAccepting() {
        isPaused = false
        if !isShort { watchListener(true) }
    }

    func watchListener(_ on: Bool) {
        guard let listener, on != listening, !(on && isPaused) else { return }
        let operation = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL
        control(clients, operation, listener.descriptor, EPOLLIN.rawValue, Token.listener)
        listening = on
    }
}
