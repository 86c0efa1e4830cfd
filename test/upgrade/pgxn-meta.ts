/** What the PGXN Meta Spec 1.0.0 (https://pgxn.org/spec/) demands of META.json. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

const LICENSES = [
  'agpl_3', 'apache_1_1', 'apache_2_0', 'artistic_1', 'artistic_2', 'bsd', 'freebsd', 'gfdl_1_2', 'gfdl_1_3', 'gpl_1', 'gpl_2',
  'gpl_3', 'lgpl_2_1', 'lgpl_3_0', 'mit', 'mozilla_1_0', 'mozilla_1_1', 'openssl', 'perl_5', 'postgresql', 'qpl_1_0', 'ssleay',
  'sun', 'zlib', 'open_source', 'restricted', 'unrestricted', 'unknown',
]
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-?[A-Za-z][A-Za-z0-9.-]*)?$/
/** At least two characters, of which none is a slash, a backslash, a space or invisible. */
const TERM = /^[^\s/\\\p{C}]{2,}$/u
const PHASES = ['configure', 'build', 'test', 'runtime', 'develop']
const RELATIONSHIPS = ['requires', 'recommends', 'suggests', 'conflicts']
const KNOWN = ['name', 'abstract', 'description', 'version', 'maintainer', 'license', 'provides', 'prereqs', 'release_status', 'tags',
  'resources', 'generated_by', 'no_index', 'meta-spec']

type Json = Readonly<Record<string, any>>

/** What is wrong with it; files that it names are looked for in `root`. */
export function metaProblems(meta: Json, root: string): string[] {
  const problems: string[] = []
  const demand = (is_met: boolean, problem: string): void => { if (!is_met) problems.push(problem) }
  const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''

  demand(TERM.test(meta['name']), 'name is no term')
  demand(isText(meta['abstract']), 'abstract is missing')
  demand(meta['description'] === undefined || isText(meta['description']), 'description is empty')
  demand(SEMVER.test(meta['version']), 'version is not semantic')
  demand([meta['maintainer']].flat().every(isText), 'maintainer is missing')
  demand([meta['license']].flat().every((license) => LICENSES.includes(license)), 'license is not among those that the spec lists')
  demand(['stable', 'testing', 'unstable'].includes(meta['release_status'] ?? 'stable'), 'release_status is none')
  demand(SEMVER.test(meta['meta-spec']?.version), 'meta-spec has no version')
  demand((meta['tags'] ?? []).every((tag: unknown) => isText(tag) && String(tag).length < 256 && !/[/\\\p{C}]/u.test(String(tag))), 'a tag is none')
  demand(Object.keys(meta).every((key) => KNOWN.includes(key) || /^x_/i.test(key)), 'there is an unknown key')
  for (const [name, { version, file, docfile, abstract }] of Object.entries<Json>(meta['provides'] ?? {})) {
    demand(TERM.test(name) && SEMVER.test(version), `${name} has no version`)
    demand(isText(file) && existsSync(resolve(root, file)), `the file of ${name} is missing`)
    demand(docfile === undefined || existsSync(resolve(root, docfile)), `the docfile of ${name} is missing`)
    demand(abstract === undefined || isText(abstract), `the abstract of ${name} is empty`)
  }
  demand(Object.keys(meta['provides'] ?? {}).length > 0, 'it provides nothing')
  for (const [phase, relationships] of Object.entries<Json>(meta['prereqs'] ?? {})) {
    demand(PHASES.includes(phase), `prereqs: ${phase} is no phase`)
    for (const [relationship, wanted] of Object.entries<Json>(relationships)) {
      demand(RELATIONSHIPS.includes(relationship), `prereqs: ${relationship} is no relationship`)
      for (const [name, range] of Object.entries(wanted)) demand(TERM.test(name) && (range === 0 || SEMVER.test(range)), `prereqs: ${name} has no version`)
    }
  }
  return problems
}
