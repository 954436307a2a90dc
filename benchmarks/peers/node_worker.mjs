// aws-jwt-verify and fast-jwt, driven by lines of JSON on standard input; see worker.py.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const BATCH = 100 // tokens between two looks at the clock
const settings = JSON.parse(process.argv[2])
const require = createRequire(settings.folder + '/')
const { JwtVerifier } = require('aws-jwt-verify')
const { createVerifier } = require('fast-jwt')
const { audience, issuer } = settings

// The keys are put into its cache, so the address is never asked.
const aws = JwtVerifier.create({ issuer, audience, jwksUri: issuer + '/.well-known/jwks' })
aws.cacheJwks(settings.jwks)
const fast = (cache) =>
  createVerifier({
    key: settings.pem,
    cache,
    algorithms: ['RS256'],
    allowedIss: issuer,
    allowedAud: audience,
    requiredClaims: ['exp', 'iss', 'aud'],
  })

const ways = {
  'aws-jwt-verify': { verify: (token) => aws.verifySync(token), remembers: false },
  'fast-jwt, cache on': { verify: fast(true), remembers: true },
  'fast-jwt, cache off': { verify: fast(false), remembers: false },
}
const sets = {}

// Until the compiler has seen enough of them.
for (const { verify } of Object.values(ways)) {
  for (let number = 0; number < 2000; number++) verify(settings.warm[number % settings.warm.length])
}

function accepted(way, token) {
  try {
    ways[way].verify(token)
    return true
  } catch {
    return false
  }
}

function run({ way, set, first, count }) {
  const { tokens, order } = sets[set]
  const { verify } = ways[way]
  let spent = 0
  for (let start = first; start < first + count; start += BATCH) {
    // From bytes, so that each is a new string, as from a server.
    const batch = []
    for (let number = start; number < Math.min(start + BATCH, first + count); number++) {
      batch.push(tokens[order[number % order.length]].toString('latin1'))
    }
    const began = process.cpuUsage()
    for (const token of batch) verify(token)
    const { user, system } = process.cpuUsage(began)
    spent += (user + system) * 1000
  }
  return spent
}

function answer(question) {
  switch (question.do) {
    case 'list':
      return { ways: Object.entries(ways).map(([name, { remembers }]) => ({ name, remembers })) }
    case 'check':
      return { accepted: accepted(question.way, question.token) }
    case 'load':
      sets[question.set] = { tokens: question.tokens.map((token) => Buffer.from(token)), order: question.order }
      return {}
    case 'run':
      return { ns: run(question) }
    default:
      return { error: `unknown: ${question.do}` }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let said
  try {
    said = answer(JSON.parse(line))
  } catch (error) {
    said = { error: String(error.stack) }
  }
  process.stdout.write(JSON.stringify(said) + '\n')
}
