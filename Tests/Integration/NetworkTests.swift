import PortcullisCore
import PortcullisGate
import PortcullisReactor
import TestKit
import Testing

extension Chaos {
    /// G2, G6 and G7 while the network between the gates and Redis does what networks do.
    @Suite struct NetworkTests {
        private func holds(_ world: World, decided: Int64, within: Int64 = Bounds.lease, learnt: Int64) throws {
            let broken = try world.violations(decided: decided, within: within, learnt: learnt)
            #expect(broken.isEmpty, "\(broken.joined(separator: "\n"))")
            let returning = try world.returningNowAndAfterRestart()
            #expect(returning.isEmpty, "\(returning.joined(separator: "\n"))")
        }

        /// Every message of the channel is lost from the beginning to the end: the log alone is enough, and no gate freezes.
        @Test func everyMessageOfTheChannelIsLost() throws {
            try Chaos.measured {
                let world = try World()
                for proxy in world.proxies { proxy.set(.drop(.events)) }
                try world.awaitReady()
                let decided = try world.revoke()
                world.pass(Bounds.lease, since: decided)
                try holds(world, decided: decided, learnt: decided + Bounds.lease)
                // One from each gate.
                for proxy in world.proxies { #expect(proxy.counts.dropped >= 1) }
            }
        }

        /// Probes too: both gates are deaf, and rebuild their links for ever.
        @Test func everyMessageIsLost() throws {
            try Chaos.measured {
                let world = try World()
                for proxy in world.proxies { proxy.set(.drop([.events, .control, .invalidations, .others])) }
                let decided = try world.revoke()
                world.pass(Bounds.lease, since: decided)
                for proxy in world.proxies { proxy.set(.pass) }
                try holds(world, decided: decided, learnt: Clock.boot() + Bounds.lease)
            }
        }

        /// No byte comes any more, on one kind of link or on both, and no socket says so.
        @Test(arguments: [FaultScope.Link.command, .subscription, nil])
        func halfOpen(_ link: FaultScope.Link?) throws {
            try Chaos.measured {
                let world = try World()
                for proxy in world.proxies { proxy.set(.swallow, link, nil) }
                let decided = try world.revoke()
                world.pass(Bounds.lease, since: decided)
                for proxy in world.proxies { proxy.set(.pass) }
                let healed = Clock.boot()
                try holds(world, decided: decided, learnt: healed + 3 * Bounds.lease)
                for proxy in world.proxies { #expect(proxy.counts.swallowed > 0) }
            }
        }

        /// Answers that say that nothing stands against anybody come when something does: they are too old to count.
        @Test func answersComeLate() throws {
            try Chaos.measured {
                let world = try World()
                for proxy in world.proxies {
                    proxy.set(.drop(.events))
                    proxy.set(.stall, .command, .toGate)
                }
                // The questions that are answered late were asked before the decision.
                for gate in world.gates {
                    try world.wait("a question waits") { (gate.status.staleness?.count ?? 0) > 300 }
                }
                let decided = try world.revoke()
                world.pass(Bounds.lease, since: decided)
                for proxy in world.proxies { proxy.set(.pass) }
                try holds(world, decided: decided, learnt: Clock.boot() + 3 * Bounds.lease)
                for proxy in world.proxies { #expect(proxy.counts.late > 0) }
            }
        }

        /// One gate is cut off altogether: the other is not concerned.
        @Test func oneGateIsCutOff() throws {
            try Chaos.measured {
                let world = try World()
                world.proxies[0].refuse(true)
                world.proxies[0].cut()
                let decided = try world.revoke()
                let other = world.victims[1].account
                try world.wait("the other gate closes") { world.ledger[other].ended != nil }
                world.pass(Bounds.lease, since: decided)
                world.proxies[0].refuse(false)
                try holds(world, decided: decided, learnt: Clock.boot() + 3 * Bounds.lease)
            }
        }

        /// The test of these tests: gates that serve on while they know nothing are found out.
        @Test func aGateThatServesOnIsFound() throws {
            try Chaos.measured {
                let world = try World(mode: .bestEffort)
                for proxy in world.proxies { proxy.set(.swallow) }
                let decided = try world.revoke()
                world.pass(Bounds.lease, since: decided)
                for proxy in world.proxies { proxy.set(.pass) }
                let broken = try world.violations(decided: decided, learnt: .max - 10 * Bounds.close)
                #expect(broken.count { $0.contains("late messages") } == 2)
            }
        }
    }
}
